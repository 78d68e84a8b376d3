#include "harness/report/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/report/summary.h"
#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ExitStatus, FollowsTheVerdicts) {
  const auto status = [](std::vector<CaseResult> results) { return exit_status(report(std::move(results))); };
  const CaseResult good = result("a/x=1/seed=1", Verdict::kPassed);
  EXPECT_EQ(status({good}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kKnown)}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kUnsupported)}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kFailed)}), 1);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kError)}), 1);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kMistrusted)}), 1);
  EXPECT_EQ(status({}), 2) << "nothing was tested";
  EXPECT_EQ(status({result("a/x=2/seed=1", Verdict::kSkipped)}), 2) << "nothing was tested";
  RunReport r = report({good});
  r.signal = 2;
  EXPECT_EQ(exit_status(r), 130);
  r.open_ended = true;
  EXPECT_EQ(exit_status(r), 0) << "a soak runs until its user interrupts it, so the interrupt is not an error";
  r.failure = "workers cannot be started";
  EXPECT_EQ(exit_status(r), 2);
}

TEST(ExitStatus, RequireAllFailsOnlyWithoutAGolden) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.require_all = true;
  EXPECT_EQ(exit_status(r), 0);
  r.runs[0].not_covered[kSourcesInNoModule] = {"c128_v2.cuh"};
  EXPECT_EQ(exit_status(r), 0) << "no golden can cover a source without a module";
  for (const char* kind : {kOpsWithoutGolden, kCasesWithoutGolden}) {
    RunReport lacking = r;
    lacking.runs[0].not_covered[kind] = {"topk_v1"};
    EXPECT_EQ(exit_status(lacking), 1);
    EXPECT_THAT(verdict_line(lacking), StartsWith("incomplete, which --require-all does not allow: 1 case"));
    lacking.require_all = false;
    EXPECT_EQ(exit_status(lacking), 0);
  }
}

TEST(ExitStatus, AnUnfinishedRunNeverAgrees) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.unfinished = true;
  EXPECT_EQ(exit_status(r), 2);
  EXPECT_EQ(verdict_line(r), "this run did not finish: it was killed, or it is still running");
}

TEST(VerdictLine, CountsTheCasesThatRanAndNamesTheRest) {
  CaseResult same = result("a/x=1/seed=1", Verdict::kPassed), other = result("a/x=2/seed=1", Verdict::kPassed);
  same.outputs.resize(1);
  same.outputs[0].bits = BitComparison{.compared = 4};
  other.outputs = same.outputs;
  other.outputs[0].bits->other = 1;
  CaseResult alike = result("a/relation:repeat/x=1/seed=1", Verdict::kPassed, "both sides alike: wrong");
  alike.change = "alike";
  RunReport r = report({alike, same, other, result("a/sequence:two/x=1/seed=1", Verdict::kUnsupported, "lacks b"),
                        result("b/x=1/seed=1", Verdict::kUnsupported, "lacks b"),
                        result("c/x=1/seed=1", Verdict::kSkipped, "no GPU")});
  r.runs[0].not_covered = {{kSourcesInNoModule, {"a.cuh", "b.cuh"}}, {kOpsWithoutGolden, {"d"}}};
  EXPECT_EQ(
      verdict_line(r),
      "agrees: 3 cases (3.0 s); same bits in 1 of 2 cases; 1 case is wrong on both sides alike; NOT COVERED: 2 "
      "source files in no module, 1 op without a golden, 1 sequence unsupported, 1 other case unsupported, 1 case "
      "skipped");
  EXPECT_EQ(verdict_line(report({result("a/x=1/seed=1", Verdict::kPassed)})), "agrees: 1 case (3.0 s)")
      << "the reference has no bits of its own";
}

TEST(VerdictLine, WhatSeveralSweepsOfASetLackCountsOnce) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.runs[0].not_covered = {{kSourcesInNoModule, {"a.cuh"}}};
  r.runs.push_back(r.runs[0]);
  r.runs[1].against = "golden:cuda";
  EXPECT_THAT(verdict_line(r), HasSubstr("NOT COVERED: 1 source file in no module"));
  r.runs[1].set_label = "other";
  EXPECT_THAT(verdict_line(r), HasSubstr("NOT COVERED: 2 source files in no module"));
}

TEST(VerdictLine, ChangesAreCountedByKind) {
  std::vector<CaseResult> results;
  for (const char* change : {"new", "changed", "mended"}) {
    results.push_back(result(std::string("a/x=") + change + "/seed=1",
                             change == std::string("mended") ? Verdict::kPassed : Verdict::kFailed));
    results.back().change = change;
  }
  EXPECT_EQ(
      verdict_line(report(results)),
      "differs: 3 cases, 2 failed (3.0 s); 1 case is newly wrong; 1 case is wrong in another way; 1 case is mended");
}

}  // namespace
}  // namespace dsv4
