#include "harness/report/junit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <pugixml.hpp>
#include <random>

#include "harness/core/text.h"
#include "harness/report/summary.h"
#include "harness/report/terminal.h"
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
      EXPECT_THAT(entity, ::testing::AnyOf("&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#09;")) << "in: " << text;
    }
  };
  while (i < xml.size()) {
    const std::size_t tag = xml.find('<', i);
    check_text(xml.substr(i, tag == std::string::npos ? std::string::npos : tag - i));
    if (tag == std::string::npos) break;
    // A '>' within quotes does not end the tag.
    std::size_t end = tag;
    for (bool quoted = false; end < xml.size() && (quoted || xml[end] != '>'); ++end) {
      if (xml[end] == '"') quoted = !quoted;
    }
    ASSERT_LT(end, xml.size());
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
    const bool empty = outside.ends_with("/");
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
          HasSubstr(R"(<skipped message="known fault fault-one: upstream is wrong" />)"),
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

TEST(JUnit, AReaderGetsTheStringsBack) {
  CaseResult bad = failed();
  bad.reason = "a < b && \"c\" > 'd'\twith\nlines and \x01";
  RunReport r = report({bad});
  r.command = "run <all>";
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(junit_report(r).c_str()));
  const pugi::xml_node suites = document.child("testsuites");
  EXPECT_STREQ(suites.attribute("name").value(), "dsv4diff run <all>");
  EXPECT_STREQ(suites.attribute("tests").value(), "1");
  const pugi::xml_node test = suites.child("testsuite").child("testcase");
  EXPECT_EQ(test.attribute("name").value(), bad.id);
  EXPECT_EQ(test.attribute("classname").value(), "dsv4diff." + bad.set_label + "." + bad.op());
  EXPECT_EQ(test.child("failure").attribute("message").value(), one_line(bad.reason));
  EXPECT_EQ(test.child("failure").text().get(), printable(describe_case(bad)));
}

TEST(JUnit, TheFormOfTheFile) {
  EXPECT_EQ(junit_report(report({result("a/x=1/seed=1", Verdict::kPassed)})),
            R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="dsv4diff run" tests="1" failures="0" errors="0" time="0.500">
  <testsuite name="a host against reference" tests="1" failures="0" errors="0" time="0.500" skipped="0">
    <testcase classname="dsv4diff.host.a" name="a/x=1/seed=1" time="0.500" />
  </testsuite>
</testsuites>
)");
}

TEST(JUnit, AnIncompleteRunIsNoCleanRun) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  EXPECT_THAT(junit_report(r), Not(HasSubstr("incomplete")));
  r.signal = 15;
  const std::string xml = junit_report(r);
  expect_well_formed(xml);
  EXPECT_THAT(xml, HasSubstr(R"(<error type="incomplete")"));
}

int count(const pugi::xml_node& node, const char* attribute) { return node.attribute(attribute).as_int(-1); }

TEST(JUnit, CountsOfTheRootIncludeEverySuite) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed), result("b/x=2/seed=1", Verdict::kFailed, "wrong"),
                        result("b/x=3/seed=1", Verdict::kError, "crash")});
  r.signal = 15;
  r.runs[0].not_covered[kSourcesInNoModule] = {"a.cuh", "b.cuh"};
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(junit_report(r).c_str()));
  const pugi::xml_node suites = document.child("testsuites");
  for (const char* attribute : {"tests", "failures", "errors"}) {
    int sum = 0;
    for (const pugi::xml_node suite : suites.children("testsuite")) sum += count(suite, attribute);
    EXPECT_EQ(count(suites, attribute), sum) << attribute;
  }
  EXPECT_EQ(count(suites, "tests"), 5);
  EXPECT_EQ(count(suites, "errors"), 2);
}

TEST(JUnit, WhatWasNotCoveredIsSkippedOrFails) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.runs[0].not_covered[kSourcesInNoModule] = {"a.cuh", "b.cuh"};
  r.runs[0].not_covered[kOpsWithoutGolden] = {"topk_v1"};
  EXPECT_THAT(junit_report(r), AllOf(HasSubstr(R"(<testsuite name="dsv4diff" tests="2" failures="0" errors="0")"),
                                     HasSubstr(R"(name="host against reference: source_files")"),
                                     HasSubstr(R"(<skipped type="incomplete" message="not covered: a.cuh, b.cuh" />)"),
                                     HasSubstr(R"(<skipped type="incomplete" message="not covered: topk_v1" />)")));
  r.require_all = true;
  EXPECT_THAT(junit_report(r), AllOf(HasSubstr(R"(<skipped type="incomplete" message="not covered: a.cuh, b.cuh" />)"),
                                     HasSubstr(R"(<failure type="incomplete" message="not covered: topk_v1" />)")));
}

TEST(JUnit, RequireAllFailsOnlyWhatHasNoGolden) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.require_all = true;
  for (const UncoveredKind& kind : kUncoveredKinds) {
    r.runs[0].not_covered = {{kind.name, {"one"}}};
    const bool fails = junit_report(r).find("<failure") != std::string::npos;
    EXPECT_EQ(fails, exit_status(r) == 1) << kind.name;
  }
}

TEST(JUnit, AnUnfinishedRunIsOneError) {
  RunReport r = report({});
  r.runs.clear();
  r.unfinished = true;
  EXPECT_EQ(junit_report(r),
            R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="dsv4diff run" tests="1" failures="0" errors="1" time="0.000">
  <testsuite name="dsv4diff" tests="1" failures="0" errors="1" time="0.000" skipped="0">
    <testcase classname="dsv4diff" name="run completed">
      <error type="incomplete" message="this run did not finish: it was killed, or it is still running" />
    </testcase>
  </testsuite>
</testsuites>
)");
}

TEST(JUnit, ASoakThatItsUserEndedIsNoError) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.signal = 2;
  r.open_ended = true;
  EXPECT_THAT(junit_report(r), Not(HasSubstr("<error")));
}

}  // namespace
}  // namespace dsv4
