#include "harness/report/junit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Checks the XML rules that matter for reports: tags are nested, attributes are quoted, only known entities occur.
void expect_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t i = 0;
  const auto check_text = [](const std::string& text) {
    for (std::size_t k = 0; k < text.size(); ++k) {
      const auto c = static_cast<unsigned char>(text[k]);
      EXPECT_TRUE(c >= 0x20 || c == '\n' || c == '\t') << "control character " << static_cast<int>(c);
      EXPECT_NE(text[k], '<');
      if (text[k] != '&') continue;
      const std::string entity = text.substr(k, text.find(';', k) - k + 1);
      EXPECT_THAT(entity, ::testing::AnyOf("&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#9;"))
          << "in the text: " << text;
    }
  };
  while (i < xml.size()) {
    const std::size_t tag = xml.find('<', i);
    check_text(xml.substr(i, tag == std::string::npos ? std::string::npos : tag - i));
    if (tag == std::string::npos) break;
    // In XML, a '>' in quotes does not end the tag. Reports escape every '>' in quotes, so this '>' ends the tag.
    const std::size_t end = xml.find('>', tag);
    ASSERT_NE(end, std::string::npos);
    std::string inside = xml.substr(tag + 1, end - tag - 1);
    i = end + 1;
    if (inside.starts_with("?")) continue;
    if (inside.starts_with("/")) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), inside.substr(1));
      open.pop_back();
      continue;
    }
    EXPECT_EQ(std::count(inside.begin(), inside.end(), '"') % 2, 0) << inside;
    std::string outside;
    bool quoted = false;
    for (const char c : inside) {
      if (c == '"') quoted = !quoted;
      if (!quoted) outside += c;
    }
    const bool empty = inside.ends_with("/");
    if (!empty) open.push_back(inside.substr(0, inside.find(' ')));
    check_text(inside);
  }
  EXPECT_TRUE(open.empty());
}

TEST(JUnit, CountsAndKindsOfResults) {
  CaseResult known = result("a/x=3/seed=1", Verdict::kKnown, "upstream is wrong");
  known.known_fault = "fault-one";
  const std::string xml = junit_report(report(
      {result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kError, "SIGSEGV"), known,
       result("a/x=4/seed=1", Verdict::kMistrusted, "all zero"), result("b/x=1/seed=1", Verdict::kSkipped, "no GPU")}));
  expect_well_formed(xml);
  EXPECT_THAT(
      xml,
      AllOf(
          HasSubstr(
              R"(<testsuite name="a host against reference" tests="4" failures="1" errors="1" time="2.000" skipped="1")"),
          HasSubstr(
              R"(<testsuite name="b host against reference" tests="1" failures="0" errors="0" time="0.500" skipped="1")"),
          HasSubstr(R"(<skipped message="known fault fault-one: upstream is wrong"/>)"),
          HasSubstr(R"(<error type="error" message="SIGSEGV">)"),
          HasSubstr(R"(<failure type="mistrusted" message="all zero">)")));
}

TEST(JUnit, AnyStringGivesWellFormedXml) {
  CaseResult bad = failed();
  bad.reason = bad.findings[0].detail = bad.set_label = bad.outputs[0].reason = kHostile;
  RunReport r = report({bad});
  r.runs[0].set_label = kHostile;
  expect_well_formed(junit_report(r));
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string noise;
    for (int k = 0; k < 40; ++k) noise += static_cast<char>(random() % 256);
    bad.reason = noise;
    expect_well_formed(junit_report(report({bad})));
  }
}

TEST(JUnit, AnIncompleteRunIsAnError) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  EXPECT_THAT(junit_report(r), Not(HasSubstr("incomplete")));
  r.signal = 15;
  const std::string xml = junit_report(r);
  expect_well_formed(xml);
  EXPECT_THAT(xml, HasSubstr(R"(<error type="incomplete")"));
}

}  // namespace
}  // namespace dsv4
