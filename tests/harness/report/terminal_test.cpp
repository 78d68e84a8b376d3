#include "harness/report/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::AllOf;
using ::testing::AnyOf;
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
  EXPECT_THAT(text, AllOf(HasSubstr("known fault fault-one showed in 1 of 1 case\n"),
                          HasSubstr("known fault fault-two did not show, although its conditions hold in 1"),
                          HasSubstr("agrees: 2 cases, 1 known")));
}

TEST(Terminal, VariantsUndefinedResultsAndEditedSourcesAreTold) {
  CaseResult variant = result("a/x=1/seed=1", Verdict::kKnown), undefined = result("a/x=2/seed=1", Verdict::kPassed);
  CaseResult edited = result("a/x=3/seed=1", Verdict::kFailed), other = result("a/x=4/seed=1", Verdict::kError);
  variant.known_fault = "new-addresses";
  undefined.known_fault = "past-the-end";
  edited.not_excused = other.not_excused = "overflow";
  RunReport r = report({variant, undefined, edited, other});
  r.runs[0].known_kinds = {{"new-addresses", "variant"}, {"past-the-end", "undefined"}};
  r.runs[0].edited_faults = {{"overflow", "csrc/topk.cuh differs from sglang 0.5.13"}, {"quiet", "another file"}};
  const std::string text = terminal_report(r, {.layout = {.width = 200}});
  EXPECT_THAT(
      text,
      AllOf(
          HasSubstr("known variant new-addresses: upstream changed this on purpose. It showed in 1 of 1 case\n"),
          HasSubstr("known fault past-the-end leaves the result undefined in 1 case. It showed in 0 of them\n"),
          HasSubstr("known fault overflow may show: csrc/topk.cuh differs from sglang 0.5.13, so its 2 cases were not "
                    "excused\n"),
          Not(HasSubstr("quiet"))));
}

TEST(Terminal, ReasonsForNotRunningAreCounted) {
  const std::string text = terminal_report(report({result("a/x=1/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=2/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=3/seed=1", Verdict::kSkipped, "no GPU")}));
  EXPECT_THAT(text, AllOf(HasSubstr("2 unsupported: no such variant\n"), HasSubstr("1 skipped: no GPU\n")));
}

std::size_t widest(const std::string& text) {
  std::size_t widest = 0, line = 0;
  for (const char c : text) {
    line = c == '\n' ? 0 : line + 1;
    widest = std::max(widest, line);
  }
  return widest;
}

/// A report in which every column of the table has a number.
RunReport crowded(bool bits) {
  std::vector<CaseResult> results;
  for (const Verdict v : {Verdict::kPassed, Verdict::kFailed, Verdict::kKnown, Verdict::kError, Verdict::kMistrusted,
                          Verdict::kUnsupported, Verdict::kSkipped}) {
    results.push_back(result("silu_and_mul_masked_post_quant/x=" + std::string(name_of(v)) + "/seed=1", v, "why"));
    if (bits) {
      results.back().outputs.resize(1);
      results.back().outputs[0].bits = BitComparison{.compared = 3, .other = 1, .ulp = 5};
    }
  }
  RunReport r = report(results);
  r.runs[0].not_covered["source_files"] = {"deepseek_v4/c128_v2.cuh", "deepseek_v4/fused_norm_rope_v2.cuh",
                                           "deepseek_v4/main_norm_rope.cuh"};
  return r;
}

TEST(Terminal, TheTableAndTheLastLinesFitInto80Columns) {
  for (const bool bits : {false, true}) {
    const std::string text = terminal_report(crowded(bits), {.shown = 0});
    EXPECT_LE(widest(text), 80u) << text;
    EXPECT_THAT(text, AllOf(HasSubstr("failed"), HasSubstr("mistrusted"), HasSubstr("not run")));
    EXPECT_THAT(text, HasSubstr("host: not covered: 3 source files in no module: "));
    EXPECT_THAT(text, HasSubstr("\ndiffers: 5 cases, 1 failed, 1 error, 1 mistrusted, 1 known (3.0 s)"));
    EXPECT_THAT(text, HasSubstr("NOT COVERED:"));
    EXPECT_EQ(text.find("same bits in") != std::string::npos, bits);
  }
}

TEST(Terminal, AColumnWithoutANumberIsLeftOut) {
  const std::string text = terminal_report(report({result("a/x=1/seed=1", Verdict::kPassed)}));
  EXPECT_THAT(text, AllOf(HasSubstr("op  cases  passed  failed  error/bound  seconds\n"), Not(HasSubstr("mistrusted")),
                          Not(HasSubstr("not run"))));
}

TEST(Terminal, EqualBitsDoNotLookLikeDrift) {
  CaseResult plain = result("a/x=1/seed=1", Verdict::kPassed),
             scenario = result("a/relation:r/x=1/seed=1", Verdict::kPassed);
  plain.outputs.resize(1);
  plain.outputs[0].bits = BitComparison{.compared = 3};
  scenario.outputs.resize(1);
  scenario.outputs[0].tightness = 0.57;  // against the reference
  const std::string text = terminal_report(report({scenario, plain}));
  EXPECT_THAT(text, AllOf(HasSubstr("no bit differs in 1 case\n"), HasSubstr("1/1"), Not(HasSubstr("0.57")),
                          HasSubstr("same bits in 1 of 1 case")));
}

TEST(Terminal, WhatSeveralSweepsOfASetSayIsPrintedOnce) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  r.runs[0].not_covered["source_files"] = {"a.cuh"};
  r.runs[0].warnings = {"WARNING: a.cuh differs"};
  r.runs.push_back(r.runs[0]);
  r.runs[1].against = "golden:cuda";
  const std::string text = terminal_report(r);
  for (const char* line : {"host: not covered: 1 source file in no module: a.cuh\n", "WARNING: a.cuh differs\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
    EXPECT_EQ(text.find(line), text.rfind(line)) << text;
  }
}

TEST(Terminal, CasesThatWereTriedAgainComeFirstAndSayWhatWasFound) {
  CaseResult first = failed(), second = failed(), third = failed();
  first.id = "a/x=1/seed=1";
  second.id = "a/x=2/seed=1";
  second.confirmed = Confirmed::kSequence;
  second.note = "depends on earlier calls";
  second.reproduce = "dsv4diff run --sequence a --sequence b";
  third.id = "a/x=3/seed=1";
  third.confirmed = Confirmed::kNotAgain;
  third.note = "failed once, not again";
  const std::string text = terminal_report(report({first, second, third}), {.shown = 3});
  // The cases are of one kind. The one that is told is one whose command is known to differ.
  EXPECT_EQ(text.find(first.id), std::string::npos);
  EXPECT_THAT(text,
              AnyOf(HasSubstr("  depends on earlier calls\n  reproduce: dsv4diff run --sequence a --sequence b\n"),
                    HasSubstr("  failed once, not again\n  once more (may agree): ")));
}

TEST(Terminal, PassedCasesAreShownOnRequestAndTheirNotesAlways) {
  CaseResult passed = result("a/x=1/seed=1", Verdict::kPassed);
  passed.note = "ran twice";
  const RunReport r = report({passed});
  EXPECT_THAT(terminal_report(r), AllOf(HasSubstr("1 agrees: ran twice\n"), Not(HasSubstr("passed a/x=1"))));
  EXPECT_THAT(terminal_report(r, {.verbose = true}), HasSubstr("passed a/x=1/seed=1 (0.50 s)\n"));
}

TEST(Terminal, ABrokenKernelIsOneScreen) {
  std::vector<CaseResult> results;
  for (int op = 0; op < 13; ++op) {
    for (int n = 0; n < 40; ++n) {
      const bool broken = op == 3 && n % 2 == 0;
      CaseResult r = result(
          "op_" + std::to_string(op) + "/n=" + std::to_string(n) + ",fill=" + (broken ? "ties" : "gauss") + "/seed=1",
          broken ? Verdict::kFailed : Verdict::kPassed);
      if (broken) r.findings = {{n < 10 ? "range" : "order", "row 3 is wrong"}};
      results.push_back(r);
    }
  }
  const std::string text = terminal_report(report(results));
  EXPECT_LE(std::ranges::count(text, '\n'), 40) << text;
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("failed op_3/n=10,fill=ties/seed=1\n"), HasSubstr("finding order: row 3 is wrong"),
                          HasSubstr("in common: all 15 plain cases have fill=ties"), HasSubstr("reproduce: ")));
}

TEST(Terminal, ColoursAreOnlyThereIfAskedFor) {
  const RunReport r = report({failed(), result("a/x=1/seed=1", Verdict::kPassed)});
  EXPECT_EQ(terminal_report(r).find('\x1b'), std::string::npos);
  const std::string colored = terminal_report(r, {.layout = {.color = true}});
  EXPECT_THAT(colored,
              AllOf(HasSubstr("\x1b[1;31mfailed\x1b[0m topk_v1/k=512/seed=1"), HasSubstr("\x1b[1;31mdiffers: ")));
}

}  // namespace
}  // namespace dsv4
