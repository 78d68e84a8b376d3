#include "harness/report/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A passed case with one output, which was compared with a golden.
CaseResult compared(const std::string& id, const BitComparison& bits, double recorded, double now) {
  CaseResult r = result(id, Verdict::kPassed);
  OutputReport o;
  o.name = "kv";
  o.bits = bits;
  o.recorded_tightness = recorded;
  o.tightness = now;
  r.outputs = {o};
  return r;
}

SetRun run_of(std::vector<CaseResult> results) { return report(std::move(results)).runs.at(0); }

TEST(Summary, BitsOfAnOutputAreSummedOverItsCases) {
  const SetRun run =
      run_of({compared("a/x=1/seed=1", {.compared = 10, .other = 2, .ulp = 9, .share = 0.3}, 0.1, 0.2),
              compared("a/x=2/seed=1", {.compared = 10, .other = 1, .ulp = 3, .share = 0.9}, 0.2, 0.6),
              compared("a/x=3/seed=1", {.compared = 5}, 0.4, 0), compared("b/x=1/seed=1", {.compared = 7}, 0.5, 0),
              result("c/x=1/seed=1", Verdict::kPassed)});
  const auto outputs = bits_by_output(run);
  ASSERT_EQ(outputs.size(), 2u);
  const OutputBits& a = outputs[0];
  EXPECT_EQ(a.op, "a");
  EXPECT_EQ(a.output, "kv");
  EXPECT_EQ(a.cases, 3u);
  EXPECT_EQ(a.other_bits, 2u);
  EXPECT_EQ(a.bits, (BitComparison{.compared = 25, .other = 3, .ulp = 9, .share = 0.9}));
  EXPECT_EQ(a.farthest, "a/x=2/seed=1") << "a share of the bound says more than a distance in ulp";
  EXPECT_EQ(a.recorded, 0.4);
  EXPECT_EQ(a.now, 0.6);
  EXPECT_EQ(a.tightest, "a/x=2/seed=1");
  EXPECT_TRUE(a.rose());
  EXPECT_FALSE(outputs[1].rose()) << "the recorded bits have the recorded error/bound";
  EXPECT_THAT(describe_bits(run, 10),
              ElementsAre("same bits in 2 of 4 cases",
                          "a kv: 3 of 25 elements have other bits, at most 9 ulp and 0.9 of the bound away (in 2 of 3 "
                          "cases); farthest in a/x=2/seed=1",
                          "error/bound rose from 0.4 to 0.6 in a kv, case a/x=2/seed=1"));
}

TEST(Summary, ARiseThatNobodyCanReadIsNone) {
  const auto rose = [](double recorded, double now) {
    return bits_by_output(run_of({compared("a/x=1/seed=1", {.compared = 1, .other = 1}, recorded, now)})).at(0).rose();
  };
  EXPECT_TRUE(rose(0.57, 0.58));
  EXPECT_FALSE(rose(0.57, 0.5701));
  EXPECT_FALSE(rose(0.57, 0.4));
  EXPECT_TRUE(rose(0, 0.1));
}

TEST(Summary, EqualBitsAreOneLine) {
  EXPECT_THAT(describe_bits(run_of({compared("a/x=1/seed=1", {.compared = 3}, 0.5, 0)}), 10),
              ElementsAre("no bit differs in 1 case"));
  EXPECT_THAT(describe_bits(run_of({result("a/x=1/seed=1", Verdict::kPassed)}), 10), IsEmpty());
}

TEST(Summary, TheWorstOutputsComeFirstAndTheRestIsCounted) {
  std::vector<CaseResult> results;
  for (int i = 0; i < 5; ++i) {
    results.push_back(compared("op" + std::to_string(i) + "/x=1/seed=1",
                               {.compared = 9, .other = 1, .ulp = 1, .share = 0.1 * i}, 0, 0));
  }
  results[1].outputs[0].bits->outside = 1;
  const auto lines = describe_bits(run_of(results), 2);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[1], ::testing::StartsWith("op1 kv: ")) << "what is outside the tolerance is the worst";
  EXPECT_THAT(lines[2], ::testing::StartsWith("op4 kv: "));
  EXPECT_EQ(lines[3], "... and 3 more outputs with other bits: --json FILE contains all");
}

TEST(Summary, NotCoveredNamesAFewAndCountsTheRest) {
  SetRun run = run_of({});
  run.not_covered[kOpsWithoutGolden] = {"a", "b", "c"};
  run.not_covered[kCasesWithoutGolden] = {"d/x=1/seed=1"};
  EXPECT_THAT(describe_not_covered(run, 2), ElementsAre("not covered: 3 ops without a golden: a, b and 1 more",
                                                        "not covered: 1 case without a golden: d/x=1/seed=1"));
}

}  // namespace
}  // namespace dsv4
