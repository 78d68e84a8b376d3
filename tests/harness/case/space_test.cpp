#include "harness/case/space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "harness/case/covering.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Space kSpace{number("rows", 1, 1000, "rows", {.usual = 5, .quick = {1, 4, 5}, .full = {257}}),
                   number("k", 1, 32, "columns", {.usual = 6, .both = {1, 6}}),
                   number("real", -10, 1000, "rows that count", {.usual = 2}),
                   word("count", {"device", "host"}, "where the count lies")};

std::vector<std::string> texts(const std::vector<Params>& points) {
  std::vector<std::string> out;
  for (const Params& p : points) out.push_back(p.str());
  return out;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Space, UnnamedParametersTakeTheirUsualValues) {
  EXPECT_EQ(kSpace.at("").str(), "rows=5,k=6,real=2,count=device");
  EXPECT_EQ(kSpace.at("count=host rows=4").str(), "rows=4,k=6,real=2,count=host");  // in the order of the space
}

TEST(Space, ErrorsNameTheWrongPartOfAPoint) {
  EXPECT_THAT(error_of([] { (void)kSpace.at("row=4"); }),
              HasSubstr("point 'row=4': there is no parameter 'row', did you mean 'rows'?"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("rows=0"); }), HasSubstr("rows=0 is out of range [1, 1000]"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("count=nowhere"); }), HasSubstr("'nowhere'"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("rows"); }), HasSubstr("'rows' is not name=value"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("rows="); }), HasSubstr("'rows' has no value"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("k=1 k=2"); }), HasSubstr("'k' is given twice"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("k=1|2"); }), HasSubstr("'k' has several values, but is not an axis"));
  EXPECT_THAT(error_of([] { (void)kSpace.at("cover"); }), HasSubstr("a covering is not a point"));
  EXPECT_THAT(error_of([] { (void)kSpace.points(Tier::kQuick, "cover at k=1|2"); }),
              HasSubstr("'k' has several values"));
}

TEST(Space, AParameterWithoutAUsualValueMustBeNamed) {
  const Space space{ParamSpec::integer("n", 0, 9, "n")};
  EXPECT_THAT(error_of([&] { (void)space.at(""); }), HasSubstr("'n' has no usual value and must be given"));
  EXPECT_EQ(space.at("n=3").str(), "n=3");
}

TEST(Space, CoverCombinesTheValuesOfTheTier) {
  const auto quick = kSpace.points(Tier::kQuick, "cover");
  const auto same =
      pairwise({axis("rows", {1, 4, 5}), axis("k", {1, 6}), axis("count", {std::string("device"), "host"})});
  ASSERT_EQ(quick.size(), same.size());
  for (std::size_t i = 0; i < quick.size(); ++i) {
    for (const char* name : {"rows", "k", "count"}) EXPECT_EQ(quick[i].text(name), same[i].text(name));
    EXPECT_EQ(quick[i].text("real"), "2");
  }
  for (const Params& p : kSpace.points(Tier::kFull, "cover")) EXPECT_EQ(p.text("rows"), "257");
}

TEST(Space, CoverMayChangeValuesAndFixParameters) {
  const auto points = kSpace.points(Tier::kQuick, "cover real=-1|0 at rows=9 k=3");
  EXPECT_THAT(texts(points),
              ::testing::UnorderedElementsAre("rows=9,k=3,real=-1,count=device", "rows=9,k=3,real=-1,count=host",
                                              "rows=9,k=3,real=0,count=device", "rows=9,k=3,real=0,count=host"));
}

TEST(Space, ExtraWordsAreUsedOnlyWhenNamed) {
  const Space space{word("lens", {"full", "mixed"}, "lengths", {"short"}), flag("raw", "raw output")};
  EXPECT_EQ(space.at("lens=short").str(), "lens=short,raw=0");
  for (const Tier tier : {Tier::kQuick, Tier::kFull}) {
    for (const Params& p : space.points(tier, "cover")) EXPECT_NE(p.text("lens"), "short");
  }
  EXPECT_EQ(space.points(Tier::kQuick, "cover lens=full|short").size(), 4u);
}

TEST(Space, RejectedRowsAreLeftOut) {
  const auto odd = [](const Params& p) {
    return p.integer("rows") == 4 ? std::optional<std::string>("four") : std::nullopt;
  };
  for (const Params& p : kSpace.points(Tier::kQuick, "cover", odd)) EXPECT_NE(p.text("rows"), "4");
}

/// If real=0, no row is processed. Then `k` and `count` (the place of the count) make no difference.
std::vector<std::string> idle(const Params& p) {
  return p.integer("real") == 0 ? std::vector<std::string>{"k", "count"} : std::vector<std::string>{};
}

TEST(Space, EveryPairOccursInARowWhereNeitherValueIsIdle) {
  const std::string line = "cover real=0|1|2 at rows=5";
  const auto plain = kSpace.points(Tier::kQuick, line);
  const auto shown = kSpace.points(Tier::kQuick, line, {}, idle);
  ASSERT_GE(shown.size(), plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(shown[i], plain[i]);  // `idle` may only add rows
  std::set<std::string> pairs;
  for (const Params& p : shown) {
    if (idle(p).empty()) pairs.insert(p.text("k") + " " + p.text("count"));
  }
  EXPECT_EQ(pairs.size(), 4u);
}

TEST(Space, NoRowIsAddedIfNoValueIsIdle) {
  const auto never = [](const Params&) { return std::vector<std::string>{}; };
  EXPECT_EQ(texts(kSpace.points(Tier::kQuick, "cover", {}, never)), texts(kSpace.points(Tier::kQuick, "cover")));
}

TEST(Space, LinesAreBuiltFromListsAndValues) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(each({"k={} rows={}"}, {"1", "2"}), (Lines{"k=1 rows={}", "k=2 rows={}"}));
  EXPECT_EQ(each(each({"k={} rows={}"}, {"1", "2"}), {"3"}), (Lines{"k=1 rows=3", "k=2 rows=3"}));
  EXPECT_THAT(error_of([] { (void)each({"k=1"}, {"2"}); }), HasSubstr("'k=1' has no place for a value"));
  EXPECT_EQ(joined({{"a"}, {}, {"b", "c"}}), (Lines{"a", "b", "c"}));
  EXPECT_EQ(Space{flag("a", "a")}.with({flag("b", "b")}).at("b=1").str(), "a=0,b=1");
}

TEST(Space, CheckReadsEveryLine) {
  EXPECT_EQ(error_of([] { kSpace.check({"", "rows=4", "cover", "cover k=1|2 at rows=3"}); }), "no error");
  EXPECT_THAT(error_of([] { kSpace.check({"", "cover k=1|99"}); }), HasSubstr("k=99 is out of range"));
}

TEST(Space, InterestingValuesAreThoseOfTheTiers) {
  EXPECT_THAT(kSpace.find("rows")->interesting, ::testing::ElementsAre(1, 4, 5, 257));
  EXPECT_THAT(kSpace.find("real")->interesting, IsEmpty());
  EXPECT_EQ(kSpace.find("nothing"), nullptr);
}

}  // namespace
}  // namespace dsv4
