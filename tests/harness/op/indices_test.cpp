#include "harness/op/indices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/run/scenario_context.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using enum DType;

/// An op that copies those rows of `table` that `ids` names.
class LookUp : public Op {
 public:
  LookUp()
      : Op({.name = "look_up",
            .family = "test",
            .summary = "y = table by ids",
            .upstream = "none",
            .space = {number("rows", 1, 100, "rows", {.usual = 5}), number("vocab", 1, 100, "rows", {.usual = 7})},
            .signature = {{in("ids", {kI64}, "rows", {.index = Index{.limit = "vocab"}}),
                           in("table", {kI32}, "vocab 2"), out("y", {kI32}, "rows 2")},
                          "rows"},
            .smoke = {""}}) {}
  [[nodiscard]] Call make(const Case& c) const override {
    Call call = allocate(c);
    for (std::int64_t i = 0; i < 14; ++i) set_integer(call.arg("table").tensor(), i, 100 + i);
    for (std::int64_t i = 0; i < 5; ++i) set_integer(call.arg("ids").tensor(), i, 6 - i);
    return call;
  }
};

/// Runs the contract about `ids` on a kernel that writes `outside(row, column)` for an id outside the table.
CaseResult tried_ids(const std::function<std::int32_t(std::int64_t, std::int64_t, const CallOptions&)>& outside,
                     bool spoils_row_0 = false) {
  const LookUp op;
  const Case c{"look_up", "contract:ids_outside", op.points(Tier::kSmoke).front(), 1};
  std::vector<CallOptions> options;
  FunctionCaller caller(
      [&](Call& call) {
        HostTensor& y = call.arg("y").tensor();
        bool wrong = false;
        for (std::int64_t r = 0; r < y.size(0); ++r) {
          const std::int64_t id = call.tensor("ids").at<std::int64_t>(r);
          for (std::int64_t k = 0; k < 2; ++k) {
            const bool inside = id >= 0 && id < call.tensor("table").size(0);
            y.at<std::int32_t>(r, k) =
                inside ? call.tensor("table").at<std::int32_t>(id, k) : outside(r, k, options.back());
            wrong = wrong || !inside;
          }
        }
        if (wrong && spoils_row_0) y.at<std::int32_t>(0, 0) = -7;
      },
      &options);
  CaseResult result;
  TrialContext context(op, c, caller, caller, result);
  const auto list = all_scenarios(op);
  find_scenario(list, c.scenario)->run(context);
  EXPECT_GT(context.own_compared(), 8);
  return result;
}

std::int64_t violations_in(const CaseResult& r) {
  std::int64_t n = 0;
  for (const OutputReport& output : r.outputs) n += output.violations;
  return n;
}

TEST(Indices, ValuesOutsideAreNegativeTheLimitAndFarPastIt) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int32_t>::min();
  EXPECT_THAT(values_outside(7, false, kI32), ElementsAre(-1, -2, kLeast, 7, 1 << 30, 0x7fffffff));
  EXPECT_THAT(values_outside(7, true, kI32), ElementsAre(-1, -2, kLeast, 0, 8, 1 << 30, 0x7fffffff));
  EXPECT_THAT(values_outside(-1, false, kI32), ElementsAre(-1, -2, kLeast, 1 << 30, 0x7fffffff));
  EXPECT_THAT(values_outside(7, false, kI64), Contains(std::int64_t{1} << 40));
  EXPECT_THAT(values_outside(std::int64_t{1} << 31, false, kI64), Not(Contains(1 << 30)));  // this value is inside
}

TEST(Indices, ADefinedResultPasses) {
  const CaseResult r =
      tried_ids([](std::int64_t row, std::int64_t, const CallOptions&) { return -static_cast<int>(row); });
  EXPECT_EQ(violations_in(r), 0);
  EXPECT_TRUE(r.findings.empty());
}

TEST(Indices, AResultThatDependsOnTheMemoryAroundTheArgumentsFails) {
  const CaseResult r = tried_ids([](std::int64_t, std::int64_t k, const CallOptions& options) {
    return std::int32_t{poison_byte(options.poison, static_cast<std::size_t>(k))};
  });
  // The rows that use the value have a report of their own, which a known fault can cover.
  ASSERT_EQ(r.outputs.size(), 2u);
  EXPECT_EQ(r.outputs.at(0).violations, 0);
  EXPECT_THAT(r.outputs.at(1).name, EndsWith(" of its rows"));
  EXPECT_GT(r.outputs.at(1).violations, 0);
  EXPECT_THAT(r.outputs.at(1).reason, HasSubstr("with other memory around the arguments"));
}

TEST(Indices, AChangeOfAnotherRowFails) {
  const CaseResult r = tried_ids([](std::int64_t, std::int64_t, const CallOptions&) { return 0; }, true);
  EXPECT_GT(violations_in(r), 0);
  EXPECT_THAT(r.outputs.at(0).reason, HasSubstr("other rows"));
}

TEST(Indices, ARefusalPasses) {
  class Refusing final : public Caller {
   public:
    CallResult call(const Call&, const CallOptions&) override {
      CallResult result;
      result.refusal = "no";
      return result;
    }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] bool is_reference() const override { return false; }
    [[nodiscard]] bool errors_name_arguments() const override { return false; }

   private:
    std::string name_ = "refusing";
  } caller;
  const LookUp op;
  const Case c{"look_up", "contract:ids_outside", op.points(Tier::kSmoke).front(), 1};
  CaseResult result;
  TrialContext context(op, c, caller, caller, result);
  const auto list = all_scenarios(op);
  find_scenario(list, c.scenario)->run(context);
  EXPECT_TRUE(result.findings.empty());
  EXPECT_TRUE(result.outputs.empty());
}

TEST(Indices, OnlyIntegerInputsInDeviceMemoryHoldIndices) {
  const Signature s({in("ids", {kI32}, "rows"), in("x", {kF32}, "rows"), in("map", {kI32}, "vocab"),
                     in("known", {kI32}, "vocab", {.index = Index{.limit = "rows"}}), out("y", {kI32}, "rows"),
                     in("lengths", {kI64}, "rows", {.place = Place::kHost})},
                    "rows");
  std::vector<std::string> names;
  for (const Argument& a : s.arguments()) {
    if (holds_indices(a, s)) names.push_back(a.name);
  }
  EXPECT_THAT(names, ElementsAre("ids", "known"));
}

}  // namespace
}  // namespace dsv4::testing
