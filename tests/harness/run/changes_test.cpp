#include "harness/run/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

CaseResult made(Verdict verdict, const std::string& scenario = "") {
  CaseResult r;
  r.id = "a/" + scenario + (scenario.empty() ? "" : "/") + "x=1/seed=1";
  r.set_label = "copy";
  r.against = "original";
  r.verdict = verdict;
  if (verdict != Verdict::kPassed) r.reason = "it is wrong";
  return r;
}

CaseResult failing(const std::set<std::string>& outputs, const std::string& scenario = "") {
  CaseResult r = made(Verdict::kFailed, scenario);
  for (const std::string& name : outputs) {
    r.outputs.push_back({});
    r.outputs.back().name = name;
    r.outputs.back().violations = 1;
  }
  return r;
}

CaseResult error(const std::string& cause, const std::string& scenario = "") {
  CaseResult r = made(Verdict::kError, scenario);
  r.cause = cause;
  return r;
}

CaseResult excused(CaseResult result, const CaseResult& other, const CaseResult* subject = nullptr) {
  excuse_if_alike(result, other, subject);
  return result;
}

TEST(Changes, FaultsAreNamesAndCauses) {
  EXPECT_EQ(faults_of(made(Verdict::kPassed)), std::set<std::string>{});
  CaseResult r = failing({"kv", "score"});
  r.findings = {{"guard", "byte 3"}};
  EXPECT_EQ(faults_of(r), (std::set<std::string>{"guard", "kv", "score"}));
  r.verdict = Verdict::kKnown;
  EXPECT_EQ(faults_of(r), (std::set<std::string>{"guard", "kv", "score"})) << "a known fault is a fault";
  EXPECT_NE(faults_of(error("crash")), faults_of(error("refusal")));
  CaseResult known_crash = error("crash");
  known_crash.verdict = Verdict::kKnown;
  EXPECT_EQ(faults_of(known_crash), faults_of(error("crash")));
  EXPECT_NE(faults_of(made(Verdict::kMistrusted)), std::set<std::string>{});
}

TEST(Changes, AKnownFaultThatAnEditKeepsIsNoChange) {
  CaseResult known = made(Verdict::kKnown, "relation:far_x");
  known.known_fault = "far";
  CaseResult edited = failing({"kv"}, "relation:far_x");
  EXPECT_FALSE(may_have_known_fault(edited, known)) << "no known fault would apply";
  edited.not_excused = "far";
  EXPECT_TRUE(may_have_known_fault(edited, known));
  EXPECT_FALSE(may_have_known_fault(edited, made(Verdict::kPassed))) << "the other set does not show the fault";
  EXPECT_FALSE(may_have_known_fault(made(Verdict::kPassed), known));
  CaseResult other = edited;
  excuse_if_known_unedited(other, failing({"kv"}, "relation:far_x"), "original");
  EXPECT_EQ(other.verdict, Verdict::kFailed) << "the known fault does not explain everything";
  excuse_if_known_unedited(edited, known, "original");
  EXPECT_EQ(edited.verdict, Verdict::kPassed);
  EXPECT_EQ(edited.change, "alike");
  EXPECT_EQ(edited.not_excused, "");
  EXPECT_THAT(edited.reason, StartsWith("'copy' and 'original' show known fault far alike: it is wrong"));
}

TEST(Changes, AScenarioThatBothSidesFailAlikeIsNoChange) {
  const std::string relation = "relation:repeat";
  const CaseResult r = excused(failing({"kv"}, relation), failing({"kv"}, relation));
  EXPECT_EQ(r.verdict, Verdict::kPassed);
  EXPECT_EQ(r.change, "alike");
  EXPECT_EQ(r.reason, "both sides alike: it is wrong");
  const CaseResult crash = excused(error("crash", relation), error("crash", relation));
  EXPECT_EQ(crash.verdict, Verdict::kPassed);
}

TEST(Changes, AScenarioThatOneSideFailsInAnotherWayIsAChange) {
  const std::string relation = "relation:repeat";
  const CaseResult fresh = excused(failing({"kv"}, relation), made(Verdict::kPassed, relation));
  EXPECT_EQ(fresh.verdict, Verdict::kFailed);
  EXPECT_EQ(fresh.reason, "'copy' and not 'original': it is wrong");
  EXPECT_EQ(excused(failing({"kv"}, relation), failing({"score"}, relation)).verdict, Verdict::kFailed);
  EXPECT_EQ(excused(failing({"kv"}, relation), failing({"kv", "score"}, relation)).verdict, Verdict::kFailed);
  const CaseResult kind = excused(error("crash", relation), failing({"kv"}, relation));
  EXPECT_EQ(kind.verdict, Verdict::kError);
  EXPECT_EQ(kind.reason, "'copy': it is wrong; 'original': it is wrong");
}

TEST(Changes, WhatEachSideDoesAgainstItselfIsNoChange) {
  const CaseResult both = failing({"kv", "score"}), one = failing({"kv"}), fine = made(Verdict::kPassed);
  EXPECT_EQ(excused(one, both, &one).verdict, Verdict::kPassed);
  EXPECT_EQ(excused(both, one, &both).verdict, Verdict::kFailed);
  const CaseResult mended = excused(one, one, &fine);
  EXPECT_EQ(mended.verdict, Verdict::kFailed) << "only the other side is wrong by itself";
  EXPECT_EQ(mended.reason, "'original' and not 'copy': it is wrong");
  const CaseResult r = excused(failing({"kv"}), made(Verdict::kPassed));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_EQ(r.reason, "it is wrong") << "the difference is between both sides, so none of them is named";
}

TEST(Changes, ACrashNamesItsSide) {
  const CaseResult crash = error("crash"), fine = made(Verdict::kPassed);
  EXPECT_EQ(excused(crash, fine).reason, "'copy' and not 'original': it is wrong");
  const CaseResult others = excused(crash, crash, &fine);
  EXPECT_EQ(others.verdict, Verdict::kError);
  EXPECT_EQ(others.reason, "'original' and not 'copy': it is wrong");
  EXPECT_EQ(excused(crash, crash, nullptr).verdict, Verdict::kError) << "nobody knows whether both sides crash";
  EXPECT_EQ(excused(crash, crash, &crash).verdict, Verdict::kPassed);
  const CaseResult refusal = error("refusal");
  EXPECT_EQ(excused(refusal, refusal, &fine).verdict, Verdict::kError) << "only the other side refuses the call";
  EXPECT_EQ(excused(refusal, crash, &refusal).reason, "'copy': it is wrong; 'original': it is wrong");
}

TEST(Changes, APassedCaseIsNotTouched) {
  const CaseResult passed = made(Verdict::kPassed);
  EXPECT_EQ(excused(passed, failing({"kv"})), passed);
}

CaseResult judged(CaseResult result, CaseResult base) {
  base.set_label = "old";
  compare_with_baseline(result, base);
  return result;
}

TEST(Changes, OnlyWhatIsNewOrChangedSinceTheBaselineDiffers) {
  const CaseResult alike = judged(failing({"kv"}), failing({"kv"}));
  EXPECT_EQ(alike.verdict, Verdict::kPassed);
  EXPECT_EQ(alike.change, "alike");
  EXPECT_EQ(alike.reason, "'copy' and 'old' alike: it is wrong");
  const CaseResult fresh = judged(failing({"kv"}), made(Verdict::kPassed));
  EXPECT_EQ(fresh.verdict, Verdict::kFailed);
  EXPECT_EQ(fresh.change, "new");
  EXPECT_THAT(fresh.reason, StartsWith("new, not in 'old': "));
  const CaseResult other = judged(failing({"kv"}), error("crash"));
  EXPECT_EQ(other.verdict, Verdict::kFailed);
  EXPECT_EQ(other.change, "changed");
  EXPECT_THAT(other.reason, AllOf(StartsWith("changed: "), HasSubstr("'old': it is wrong")));
  const CaseResult mended = judged(made(Verdict::kPassed), failing({"kv"}));
  EXPECT_EQ(mended.verdict, Verdict::kPassed);
  EXPECT_EQ(mended.change, "mended");
  EXPECT_EQ(judged(made(Verdict::kPassed), made(Verdict::kPassed)).change, "");
}

TEST(Changes, KnownFaultsAndCasesThatDidNotRunAreNoChange) {
  CaseResult known = failing({"kv"});
  known.verdict = Verdict::kKnown;
  EXPECT_EQ(judged(known, made(Verdict::kPassed)), known);
  EXPECT_EQ(judged(failing({"kv"}), known).change, "alike")
      << "a copy of the baseline may have a name without known faults";
  EXPECT_EQ(judged(made(Verdict::kPassed), known).change, "mended");
  const CaseResult lacking = made(Verdict::kUnsupported);
  EXPECT_EQ(judged(lacking, made(Verdict::kPassed)), lacking);
  EXPECT_EQ(judged(made(Verdict::kPassed), lacking).change, "");
  EXPECT_EQ(judged(failing({"kv"}), lacking).change, "new");
}

}  // namespace
}  // namespace dsv4
