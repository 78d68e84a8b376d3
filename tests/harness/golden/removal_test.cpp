#include "harness/golden/removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/golden/support.h"
#include "tests/harness/op/recorder.h"

namespace dsv4 {
namespace {

using golden_test::error_of;
using golden_test::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// An op with two cases in the smoke tier. The quick tier has two more cases, and the full tier has one more.
class TieredOp final : public testing::PlusOp {
 public:
  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    switch (tier) {
      case Tier::kSmoke:
        return {rows(1), rows(2)};
      case Tier::kQuick:
        return {rows(3), rows(4)};
      case Tier::kFull:
        return {rows(5)};
    }
    return {};
  }
  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    return {{.kind = Scenario::Kind::kRelation, .name = "any", .meaning = "m", .points = {}, .run = {}}};
  }
  static Params rows(std::int64_t n) { return Params().set("rows", n).set("plus", 1); }
};

/// Returns a golden of op "plus" that has one case for each number of rows in `rows`.
Golden golden_of(const std::vector<std::int64_t>& rows) {
  Golden g{"plus", "good", {}, {}};
  for (const std::int64_t n : rows) {
    GoldenEntry e;
    e.id = Case{"plus", "", TieredOp::rows(n), 1}.id();
    e.set = "good";
    g.entries.push_back(e);
  }
  return g;
}

TEST(GoldenRemoval, ScenariosAreNotRecorded) {
  const TieredOp op;
  EXPECT_EQ(recordable_cases(op, Tier::kSmoke).size(), 2U);
  EXPECT_EQ(recordable_cases(op, Tier::kFull).size(), 5U);
  EXPECT_GT(cases_of(op, Tier::kSmoke).size(), 2U);
}

TEST(GoldenRemoval, CasesOfHigherTiersAreCounted) {
  const TieredOp op;
  const auto counted = [&](const std::vector<std::int64_t>& rows, Tier tier) {
    const HigherTiers h = beyond(golden_of(rows), op, tier);
    return std::pair(h.cases, h.enough);
  };
  EXPECT_EQ(counted({1, 2, 3, 4}, Tier::kSmoke), std::pair(std::size_t{2}, Tier::kQuick));
  EXPECT_EQ(counted({1, 2, 3, 4, 5}, Tier::kSmoke), std::pair(std::size_t{3}, Tier::kFull));
  EXPECT_EQ(counted({1, 2, 3, 4, 5}, Tier::kQuick), std::pair(std::size_t{1}, Tier::kFull));
  EXPECT_EQ(counted({1, 2, 3, 4, 5}, Tier::kFull).first, 0U);
  EXPECT_EQ(counted({1, 2}, Tier::kSmoke).first, 0U);
  EXPECT_EQ(counted({1}, Tier::kFull).first, 0U);
  // No tier of the op has a case with 77 rows any more, so the golden's case does not count as one of a higher tier.
  EXPECT_EQ(counted({1, 77}, Tier::kSmoke).first, 0U);
}

TEST(GoldenRemoval, TheRefusalSaysWhichFilesLoseCasesAndWhatToDo) {
  const TieredOp op;
  const TempFolder folder;
  const auto refusal = [&](Tier tier) {
    return error_of([&] { require_no_higher_tiers(folder.str(), "good", {&op}, tier); });
  };
  EXPECT_EQ(refusal(Tier::kSmoke), "");  // no golden exists yet
  const std::string path = golden_path(folder.str(), "plus", "good");
  write_golden(path, golden_of({1, 2, 3, 4}));
  EXPECT_EQ(refusal(Tier::kSmoke), "--tier smoke would remove 2 cases of higher tiers from " + path +
                                       "; record with --tier quick, or use --prune to remove them; nothing is written");
  EXPECT_EQ(refusal(Tier::kQuick), "");
  EXPECT_EQ(error_of([&] { require_no_higher_tiers(folder.str(), "other", {&op}, Tier::kSmoke); }), "");
  EXPECT_THAT(error_of([&] {
                require_no_higher_tiers(folder.str(), "good", {&op, &op}, Tier::kSmoke);
              }),
              AllOf(HasSubstr("remove 4 cases"), HasSubstr(path + " and 1 other golden;")));
  golden_test::spill(path, "junk");
  EXPECT_EQ(refusal(Tier::kSmoke), "");
}

}  // namespace
}  // namespace dsv4
