#include "harness/report/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Terminal, PrintsEverythingAboutAFailure) {
  const std::string text = terminal_report(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  EXPECT_THAT(text, AllOf(HasSubstr("failed topk_v1/k=512/seed=1"), HasSubstr("selected: 2 of 512"),
                          HasSubstr("first at [0, 3]: got 1 (0x3f800000), want 2 (0x40000000), error 1, bound 0.5"),
                          HasSubstr("worst at [1, 7]: got nan (0x7fc00000)"), HasSubstr("finding guard: 4 bytes"),
                          HasSubstr("reproduce: dsv4diff run --set host --case topk_v1/k=512/seed=1"),
                          HasSubstr("differs: 2 cases, 1 failed")));
}

TEST(Terminal, ASetWithoutAVersionIsNamedAfterTheNearestRelease) {
  EXPECT_EQ(describe_origin("cpu", {{"package", "sglang"}, {"version", "0.5.14"}, {"release", "0.5.13"}}),
            "sglang 0.5.14, CPU code");
  EXPECT_EQ(describe_origin("cpu", {{"package", "sglang"}, {"version", ""}, {"release", "0.5.13"}}),
            "sglang without a version (nearest release: 0.5.13), CPU code");
  EXPECT_EQ(describe_origin("cpu", {{"package", "mine"}}), "mine, CPU code");
}

TEST(Terminal, KnownFaultsThatDidNotShowAreReported) {
  CaseResult shown = result("a/x=1/seed=1", Verdict::kKnown);
  CaseResult hidden = result("a/x=2/seed=1", Verdict::kPassed);
  shown.known_fault = "fault-one";
  hidden.known_fault = "fault-two";
  const std::string text = terminal_report(report({shown, hidden}));
  EXPECT_THAT(text, AllOf(HasSubstr("known fault fault-one showed in 1 of 1 cases"),
                          HasSubstr("known fault fault-two did not show in any of the 1 cases"),
                          HasSubstr("agrees: 2 cases, 1 known")));
}

TEST(Terminal, AReasonOfManyErrorsIsPrintedOnceAndEachCaseIsNamed) {
  const std::string text = terminal_report(
      report({result("a/x=1/seed=1", Verdict::kError, "altered"), result("a/x=2/seed=1", Verdict::kError, "altered"),
              result("a/x=3/seed=1", Verdict::kError, "altered"), result("a/x=4/seed=1", Verdict::kError, "killed")}));
  EXPECT_THAT(text, AllOf(HasSubstr("error a/x=1/seed=1\n  altered\n"),
                          HasSubstr("error a/x=2/seed=1\n  the same reason as an error above\n  reproduce: "),
                          HasSubstr("error a/x=4/seed=1\n  killed\n")));
}

TEST(Terminal, LongListsAreCutAndTheRestIsCounted) {
  std::vector<CaseResult> many;
  for (int i = 0; i < 30; ++i) many.push_back(result("a/x=" + std::to_string(i) + "/seed=1", Verdict::kFailed, "boom"));
  const std::string text = terminal_report(report(many), {.shown = 3});
  EXPECT_THAT(text, HasSubstr("... and 27 more differing cases"));
}

TEST(Terminal, ReasonsForNotRunningAreCounted) {
  const std::string text = terminal_report(report({result("a/x=1/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=2/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=3/seed=1", Verdict::kSkipped, "no GPU")}));
  EXPECT_THAT(text, AllOf(HasSubstr("2 unsupported: no such variant\n"), HasSubstr("1 skipped: no GPU\n")));
}

}  // namespace
}  // namespace dsv4
