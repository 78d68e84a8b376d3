#include "harness/report/differing_cases.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/core/text.h"
#include "harness/report/describe_case.h"
#include "harness/report/failure_kinds.h"
#include "harness/report/in_common.h"
#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A failed case in which these outputs differ.
CaseResult wrong(const std::string& id, const std::vector<std::string>& outputs = {"y"}) {
  CaseResult r = result(id, Verdict::kFailed);
  for (const std::string& name : outputs) {
    OutputReport o;
    o.name = name;
    o.tolerance = "exact";
    o.reason = "every implementation must give these bits";
    o.compared = 8;
    o.violations = 3;
    r.outputs.push_back(o);
  }
  r.reason = fmt::format("{}: 3 of 8 elements outside the exact tolerance", outputs.front());
  return r;
}

std::string id(const std::string& op, int n, const std::string& fill) {
  return fmt::format("{}/n={},fill={}/seed=1", op, n, fill);
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

/// A run of op `a`, where cases with ties fail, and of op `b`, where one case fails.
std::vector<CaseResult> broken() {
  std::vector<CaseResult> results;
  for (const int n : {1000, 8, 100}) {
    results.push_back(wrong(id("a", n, "ties")));
    results.push_back(result(id("a", n, "gauss"), Verdict::kPassed));
  }
  results.push_back(wrong("a/contract:early/n=1,fill=ties/seed=1"));
  results.push_back(wrong(id("a", 9, "ties"), {"y", "z"}));
  results.push_back(wrong(id("b", 5000, "gauss")));
  std::ranges::sort(results, {}, &CaseResult::id);
  return results;
}

TEST(FailureKinds, OneKindForEachOpThenTheNextAndTheSimplestCaseFirst) {
  const auto results = broken();
  const SortedResults sorted = sort_by_kind(results);
  ASSERT_EQ(sorted.kinds.size(), 3u);
  EXPECT_EQ(sorted.kinds[0].simplest().id, id("a", 8, "ties")) << "neither the contract nor the first by id";
  EXPECT_EQ(sorted.kinds[0].cases.size(), 4u);
  EXPECT_EQ(sorted.kinds[0].plain(), 3u);
  EXPECT_EQ(sorted.kinds[1].op, "b") << "the second kind of an op comes after the first kind of every op";
  EXPECT_EQ(sorted.kinds[2].where, "y, z");
  EXPECT_EQ(sorted.passed.size(), 3u);
}

TEST(FailureKinds, OfTwoCasesOfOneSizeTheOneWithUsualValuesIsSimpler) {
  const std::vector<CaseResult> results{wrong("a/n=8,fill=all/seed=1"), wrong("a/n=8,fill=usual/seed=1"),
                                        result("a/n=9,fill=usual/seed=1", Verdict::kPassed)};
  EXPECT_EQ(sort_by_kind(results).kinds[0].simplest().id, "a/n=8,fill=usual/seed=1");
}

TEST(FailureKinds, ErrorsWhoseReasonsDifferInNumbersAreOneKind) {
  const std::vector<CaseResult> results{result("a/n=1/seed=1", Verdict::kError, "died at 0x7fff12 after 3 s"),
                                        result("a/n=2/seed=1", Verdict::kError, "died at 0x80a after 12 s"),
                                        result("a/n=3/seed=1", Verdict::kError, "refused"),
                                        result("odd id", Verdict::kMistrusted, "nothing was compared")};
  const auto kinds = sort_by_kind(results).kinds;
  ASSERT_EQ(kinds.size(), 3u);
  EXPECT_EQ(kinds[0].cases.size(), 2u);
}

TEST(InCommon, NamesTheValueThatNoPassingCaseHas) {
  const auto results = broken();
  const SortedResults sorted = sort_by_kind(results);
  EXPECT_EQ(in_common(sorted.kinds[0], sorted.passed), "all 3 plain cases have fill=ties; no passing case has it");
  EXPECT_EQ(in_common(sorted.kinds[1], sorted.passed), "") << "one case alone, and nothing to compare it with";
}

/// in_common() of the cases that fail, among these pairs of a case and whether it fails.
std::string common(const std::vector<std::pair<std::string, bool>>& cases) {
  std::vector<CaseResult> results;
  for (const auto& [params, fails] : cases) {
    const std::string name = "a/" + params + "/seed=1";
    results.push_back(fails ? wrong(name) : result(name, Verdict::kPassed));
  }
  const SortedResults sorted = sort_by_kind(results);
  return in_common(sorted.kinds.at(0), sorted.passed);
}

TEST(InCommon, FindsRangesPairsAndAlternatives) {
  EXPECT_EQ(common({{"n=1,m=1", false},
                    {"n=7,m=2", false},
                    {"n=8,m=1", true},
                    {"n=12,m=2", true},
                    {"n=90,m=1", true},
                    {"n=91,m=1", true}}),
            "all 4 plain cases have n>=8; no passing case has it");
  EXPECT_EQ(common({{"n=1,f=x", false}, {"n=9,f=y", false}, {"n=9,f=x", true}, {"n=9,f=x,k=2", true}}),
            "all 2 plain cases have n=9 and f=x; no passing case has both");
  EXPECT_EQ(common({{"f=a", true}, {"f=b", true}, {"f=c", false}}),
            "all 2 plain cases have f=a or b; no passing case has it");
}

TEST(InCommon, OneParameterMayBeBelowAnother) {
  std::vector<std::pair<std::string, bool>> cases;
  for (const int k : {4, 8, 16}) {
    for (const int len : {3, 6, 7, 8, 15, 40}) {
      cases.emplace_back(fmt::format("k={},len={}", k, len), len < k);
      cases.emplace_back(fmt::format("k={},len={}", k, len + 100), false);
    }
  }
  EXPECT_EQ(common(cases), "all 9 plain cases have len<k; no passing case has it");
}

TEST(InCommon, SaysWhenOnlyMostFailingCasesShareAValueOrNothingIsShared) {
  EXPECT_EQ(common({{"f=a,n=1", true},
                    {"f=a,n=2", true},
                    {"f=b,n=1", true},
                    {"f=b,n=2", false},
                    {"f=c,n=1", false},
                    {"f=b,n=1,x=1", false}}),
            "2 of 3 have f=a; no passing case has it");
  EXPECT_EQ(common({{"f=a", true}, {"f=a,x=1", true}, {"f=a,x=2", false}}),
            "no parameter sets the 2 plain cases apart");
  EXPECT_EQ(common({{"f=a", true}, {"f=b", true}}), "no plain case of this op passes");
}

TEST(DifferingCases, TellsTheKindTheCaseWhatIsSharedAndTheCommand) {
  const std::string text = differing_cases(broken(), {.shown = 1});
  EXPECT_THAT(text, HasSubstr("failed a/n=8,fill=ties/seed=1\n"
                              "  output y: 3 of 8 elements outside the tolerance (exact)\n"
                              "    exact: every implementation must give these bits\n"
                              "  cases like this: 4 of 8 cases of a (3 plain, 1 contract) failed in y\n"
                              "  in common: all 3 plain cases have fill=ties; no passing case has it\n"
                              "  reproduce: dsv4diff run --set host --case a/n=8,fill=ties/seed=1\n"));
  EXPECT_THAT(text, AllOf(HasSubstr("\n1 case of b failed in y; the simplest is b/n=5000,fill=gauss/seed=1\n"),
                          HasSubstr("\n1 case of a failed in y, z; the simplest is a/n=9,fill=ties/seed=1\n")));
  EXPECT_EQ(occurrences(text, "3 of 8 elements"), 1u) << "the reason of the case says the same";
}

TEST(DifferingCases, WhatSeveralCasesSayAlikeIsSaidOnce) {
  const std::string text = differing_cases(broken(), {.shown = 3});
  EXPECT_EQ(occurrences(text, "every implementation must give these bits"), 1u);
  CaseResult many = wrong("a/n=1/seed=1");
  for (int i = 0; i < 20; ++i) many.findings.push_back({"range", fmt::format("row {} has index {}", i, 70 + i)});
  many.findings.push_back({"guard", "4 bytes changed"});
  many.reason = "range: row 0 has index 70";
  const std::string one = describe_case(many);
  EXPECT_EQ(occurrences(one, "finding range"), 1u);
  EXPECT_EQ(occurrences(one, "row 0 has index 70"), 1u);
  EXPECT_THAT(one, AllOf(HasSubstr("  finding range: row 0 has index 70 (and 19 more alike)\n"),
                         HasSubstr("  finding guard: 4 bytes changed\n")));
}

TEST(DifferingCases, WithoutANumberTheyFitOnAScreenAndTheRestIsCounted) {
  std::vector<CaseResult> results;
  for (char op = 'a'; op <= 'z'; ++op) {
    for (int n = 0; n < 20; ++n) results.push_back(wrong(id(std::string(1, op), n, "ties")));
  }
  const Layout layout;
  const std::string text = differing_cases(results, {.rows = 30, .layout = layout});
  EXPECT_LE(rows_of(layout, text), 30u) << text;
  EXPECT_GE(occurrences(text, "reproduce: "), 2u);
  EXPECT_THAT(text, HasSubstr(" more differing cases of "));
  const std::string least = differing_cases(results, {.rows = 1});
  EXPECT_EQ(occurrences(least, "reproduce: "), 1u);
  EXPECT_EQ(occurrences(differing_cases(results, {.shown = 26}), "reproduce: "), 26u);
  EXPECT_EQ(occurrences(differing_cases(results, {.shown = 0}), "reproduce: "), 0u);
  EXPECT_EQ(differing_cases({result("a/n=1/seed=1", Verdict::kPassed)}, {}), "");
}

TEST(Layout, LinesKeepTheirFirstIndentAndColoursTakeNoWidth) {
  const Layout narrow{.width = 20};
  EXPECT_EQ(lines_of(narrow, "    one two three four five", 6), "    one two three\n      four five\n");
  const Layout colored{.width = 20, .color = true};
  EXPECT_EQ(painted(colored, Paint::kGood, "ok"), "\x1b[32mok\x1b[0m");
  EXPECT_EQ(painted(narrow, Paint::kGood, "ok"), "ok");
  EXPECT_EQ(rows_of(colored, painted(colored, Paint::kBad, std::string(20, 'x')) + "\n\n" + std::string(21, 'y')), 4u);
}

}  // namespace
}  // namespace dsv4
