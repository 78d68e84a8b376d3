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
                          HasSubstr("<details><summary>1 differing cases</summary>"),
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

}  // namespace
}  // namespace dsv4
