#include "harness/report/run_report.h"

#include <gtest/gtest.h>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;

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

}  // namespace
}  // namespace dsv4
