#include "harness/report/markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Markdown, VerdictTableAndFoldedDetails) {
  const std::string text = markdown_report(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  EXPECT_THAT(text, AllOf(HasSubstr("**differs: 2 cases, 1 failed"), HasSubstr("| `topk_v1` | 1 | 0 | 1 |"),
                          HasSubstr("<details><summary>1 differing case</summary>"),
                          HasSubstr("reproduce: dsv4diff run --set host")));
}

TEST(Markdown, HostileStringsStayText) {
  CaseResult bad = failed();
  bad.reason = "``` </details><script>alert(1)</script>";
  RunReport r = report({bad, result("a/x=1/seed=1", Verdict::kSkipped, kHostile)});
  const std::string text = markdown_report(r);
  EXPECT_THAT(text, HasSubstr("\n````text\n")) << "the fence must be longer than every row of backticks in the text";
  EXPECT_THAT(text, Not(HasSubstr("<b onclick")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Markdown, AHostileOpStaysInItsCell) {
  const std::string text = markdown_report(report({result("a`|<b>", Verdict::kPassed)}));
  EXPECT_THAT(text, HasSubstr("| a\\`\\|&lt;b&gt; | 1 | 1 |"));
}

TEST(Markdown, SaysWhatWasNotCoveredAndWhichBitsDiffer) {
  CaseResult other = result("a/x=1/seed=1", Verdict::kPassed);
  other.outputs.resize(1);
  other.outputs[0].name = "kv";
  other.outputs[0].bits = BitComparison{.compared = 8, .other = 2, .ulp = 3};
  RunReport r = report({other});
  r.runs[0].not_covered["ops_without_golden"] = {"topk"};
  r.runs[0].warnings = {"WARNING: look here"};
  EXPECT_THAT(
      markdown_report(r),
      AllOf(HasSubstr("| same bits |\n"), HasSubstr("| 0 of 1 |\n"), HasSubstr("NOT COVERED: 1 op without a golden"),
            HasSubstr("- a kv: 2 of 8 elements have other bits"),
            HasSubstr("- not covered: 1 op without a golden: topk"), HasSubstr("- WARNING: look here\n")));
  r.unfinished = true;
  EXPECT_THAT(markdown_report(r), HasSubstr("⚠️ dsv4diff run\n\n**this run did not finish"));
}

}  // namespace
}  // namespace dsv4
