#include "harness/golden/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/harness/golden/support.h"
#include "tests/harness/run/known_support.h"

namespace dsv4 {
namespace {

using namespace golden_test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::int64_t kLarge = 40000;  // elements: the output has three blocks, and its sample 32 elements

/// The index of an element of a large output that is not in its sample.
constexpr std::int64_t kUnsampled = 20001;

struct VerifyTest : ::testing::Test {
  VerifyTest() { probe_op(); }

  FakeCaller reference = honest("reference", true);

  GoldenEntry recorded(const CheckedCase& c, FakeCaller subject = honest(), const Policy& policy = {}) {
    return record_case(c, {subject, reference, reference}, policy).entry.value();
  }
  CaseResult verified(const CheckedCase& c, const GoldenEntry& e, FakeCaller subject, const Policy& policy = {},
                      bool exact = false) {
    const Sides sides{subject, reference, reference, {"label", subject.name(), "golden:" + e.set}, exact};
    return verify_case(c, e, sides, policy);
  }
};

/// A policy for a set that has the fault.
Policy faulty(bool keep_known = true) {
  return testing::policy_of(testing::known_fault("probe-fault", "golden_probe", {"y"}), keep_known);
}

/// The same policy for a set made from a release without the fault.
Policy mended() {
  Policy policy = faulty();
  policy.subject.version = "2.0";
  return policy;
}

TEST_F(VerifyTest, TheSampleLacksTheElementOfTheseTests) {
  const auto p = sample_positions(kLarge);
  EXPECT_EQ(std::count(p.begin(), p.end(), kUnsampled), 0);
}

TEST_F(VerifyTest, EqualBitsPassWithoutTheReference) {
  for (const std::int64_t n : {std::int64_t{8}, kLarge}) {
    const CheckedCase c = probe(n, "exact");
    const GoldenEntry e = recorded(c);
    reference.calls = 0;
    const CaseResult r = verified(c, e, honest("after"));
    EXPECT_EQ(r.verdict, Verdict::kPassed) << r.reason;
    EXPECT_EQ(r.reason, "");
    EXPECT_EQ(r.set_name, "after");
    EXPECT_EQ(r.set_label, "label");
    EXPECT_EQ(r.against, "golden:good");
    ASSERT_EQ(r.outputs.size(), 2U);
    EXPECT_EQ(r.outputs[0].compared, n);
    EXPECT_EQ(r.same_bits(), true);
    EXPECT_EQ(reference.calls, 0);
  }
}

TEST_F(VerifyTest, DriftedInputsAreAnError) {
  const CheckedCase c = probe(8, "exact");
  GoldenEntry e = recorded(c);
  e.inputs[3] ^= 1;
  for (const FakeCaller& subject : {honest(), off_by(2, 1)}) {
    const CaseResult r = verified(c, e, subject);
    EXPECT_EQ(r.verdict, Verdict::kError);
    EXPECT_THAT(r.reason,
                AllOf(StartsWith("inputs drifted"), HasSubstr("dsv4diff record --op golden_probe --set good")));
  }
}

TEST_F(VerifyTest, AWrongElementOfASmallOutputFailsWithItsCoordinates) {
  const CheckedCase c = probe(32, "exact");
  const CaseResult r = verified(c, recorded(c), off_by(17, 1));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  ASSERT_TRUE(r.outputs[0].first.has_value());
  EXPECT_EQ(r.outputs[0].first->at, (Shape{1, 1}));
}

TEST_F(VerifyTest, AResultUnlikeTheGoldenFailsThoughTheReferenceAgrees) {
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "exact");
    const GoldenEntry e = recorded(c);
    reference = off_by(17, 1, "reference", true);
    const CaseResult r = verified(c, e, off_by(17, 1));
    EXPECT_EQ(r.verdict, Verdict::kFailed);
    EXPECT_THAT(r.reason, AllOf(HasSubstr("differs from the golden in y"), HasSubstr("today's reference agrees")));
    reference = honest("reference", true);
  }
}

TEST_F(VerifyTest, WithinTheBoundPassesAndBeyondItFails) {
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "bound");
    const GoldenEntry e = recorded(c, off_by(0, -0.0009F));
    EXPECT_EQ(e.verdict, Verdict::kPassed);
    // The result differs from the golden by 0.0018, but both differ from the reference by less than 0.001.
    const CaseResult near = verified(c, e, off_by(0, 0.0009F));
    EXPECT_EQ(near.verdict, Verdict::kPassed) << near.reason;
    EXPECT_EQ(near.same_bits(), false);
    EXPECT_EQ(near.outputs[0].bits->other, 1);
    EXPECT_NEAR(near.outputs[0].bits->share, 0.9, 1e-3) << "0.0018 of two bounds";
    EXPECT_NEAR(near.outputs[0].tightness, 0.9, 1e-3) << "0.0009 of the reference's bound";
    EXPECT_NEAR(near.outputs[0].recorded_tightness.value(), 0.9, 1e-3);
    EXPECT_EQ(verified(c, e, off_by(0, 0.0011F)).verdict, Verdict::kFailed)
        << "the result is beyond the reference's bound";
    EXPECT_EQ(verified(c, e, off_by(0, NAN)).verdict, Verdict::kFailed);
  }
}

TEST_F(VerifyTest, ADifferenceOutsideTheSampleIsFoundByTheReference) {
  const CheckedCase c = probe(kLarge, "bound");
  const CaseResult r = verified(c, recorded(c), off_by(kUnsampled, 0.1F));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  ASSERT_TRUE(r.outputs[0].first.has_value());
  EXPECT_EQ(r.outputs[0].first->at, (Shape{kUnsampled / 16, kUnsampled % 16}));
  EXPECT_THAT(r.outputs[0].reason, HasSubstr("against the reference"));
}

TEST_F(VerifyTest, ASampledElementIsComparedWithTheGolden) {
  const CheckedCase c = probe(kLarge, "bound");
  const GoldenEntry e = recorded(c);
  reference = off_by(kLarge - 1, 0.1F, "reference", true);
  const CaseResult r = verified(c, e, off_by(kLarge - 1, 0.1F));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_EQ(r.outputs[0].first->at, (Shape{kLarge / 16 - 1, 15}));
}

TEST_F(VerifyTest, AnExactLargeOutputNamesItsFirstDifferingBlock) {
  const CheckedCase c = probe(kLarge, "exact");
  const CaseResult r = verified(c, recorded(c), off_by(kUnsampled, 1));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(
      r.outputs[0].reason,
      HasSubstr("1 of 3 blocks differ, the first is block 1: elements 16384 to 32767, from [1024, 0] to [2047, 15]"));
}

TEST_F(VerifyTest, AnyNanPassesUnderExactNan) {
  const auto payload = [](std::uint32_t bits) {
    return FakeCaller("good", false, [bits](const float* x, float* y, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = 2 * x[i];
      y[n - 1] = std::bit_cast<float>(bits);
    });
  };
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    reference = payload(0x7fc00000);
    const CheckedCase c = probe(n, "exact_nan");
    const GoldenEntry e = recorded(c, payload(0x7fffffff));
    EXPECT_EQ(e.verdict, Verdict::kPassed);
    const CaseResult same = verified(c, e, payload(0xffc00001));
    EXPECT_EQ(same.verdict, Verdict::kPassed) << same.reason;
    EXPECT_EQ(verified(c, e, payload(0)).verdict, Verdict::kFailed);
    EXPECT_EQ(
        verified(probe(n, "exact"), recorded(probe(n, "exact"), payload(0x7fc00000)), payload(0xffc00001)).verdict,
        Verdict::kFailed);
    reference = honest("reference", true);
  }
}

TEST_F(VerifyTest, ExactNanFindsAChangedNumberOutsideTheSample) {
  const CheckedCase c = probe(kLarge, "exact_nan");
  const GoldenEntry e = recorded(c);
  reference = off_by(kUnsampled, 1, "reference", true);
  const CaseResult r = verified(c, e, off_by(kUnsampled, 1));
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(r.reason, HasSubstr("statistics differ"));
}

TEST_F(VerifyTest, CertifiedAlternativesPassAndAreCounted) {
  const auto stepped = [](float towards) {
    return FakeCaller("good", false, [towards](const float* x, float* y, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = 2 * x[i];
      y[n - 1] = std::nextafter(y[n - 1], towards);
    });
  };
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "interval");
    const GoldenEntry e = recorded(c, stepped(-1e30F));
    EXPECT_EQ(e.verdict, Verdict::kPassed);
    EXPECT_EQ(e.certified(), 1);
    const CaseResult r = verified(c, e, stepped(1e30F));
    EXPECT_EQ(r.verdict, Verdict::kPassed) << r.reason;
    EXPECT_EQ(r.outputs[0].certified, 1);
    EXPECT_EQ(verified(c, e, off_by(n - 1, 0.25F)).verdict, Verdict::kFailed);
  }
}

TEST_F(VerifyTest, TheReferenceReplacesAGoldenWithAKnownFault) {
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "exact");
    const Policy known = faulty();
    const GoldenEntry e = recorded(c, off_by(5, 1, "good"), known);
    EXPECT_EQ(e.verdict, Verdict::kKnown);
    EXPECT_EQ(e.known_fault, "probe-fault");
    const CaseResult right = verified(c, e, honest("after"), known);
    EXPECT_EQ(right.verdict, Verdict::kPassed);
    EXPECT_THAT(right.reason, AllOf(HasSubstr("recorded with the known fault probe-fault"), HasSubstr("differ"),
                                    HasSubstr("only the reference decides")));
    const CaseResult same = verified(c, e, off_by(5, 1, "good"), known);
    EXPECT_EQ(same.verdict, Verdict::kKnown);
    EXPECT_THAT(same.reason, HasSubstr("same bits"));
    EXPECT_EQ(verified(c, e, off_by(5, 1, "good"), faulty(false)).verdict, Verdict::kFailed);
    EXPECT_EQ(verified(c, e, off_by(5, 1, "after"), mended()).verdict, Verdict::kFailed)
        << "this release does not have the fault";
    EXPECT_EQ(verified(c, e, off_by(6, 1, "after"), mended()).verdict, Verdict::kFailed);
  }
}

TEST_F(VerifyTest, TheReferenceReplacesAGoldenThatFailed) {
  const CheckedCase c = probe(32, "exact");
  const GoldenEntry e = recorded(c, off_by(5, 1));
  EXPECT_EQ(e.verdict, Verdict::kFailed);
  EXPECT_EQ(verified(c, e, off_by(5, 1)).verdict, Verdict::kFailed);
  EXPECT_EQ(verified(c, e, honest()).verdict, Verdict::kPassed);
}

TEST_F(VerifyTest, AKnownFaultOfTheSetUnderTestIsKnown) {
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "exact");
    const GoldenEntry e = recorded(c);
    const CaseResult r = verified(c, e, off_by(5, 1, "faulty"), faulty());
    EXPECT_EQ(r.verdict, Verdict::kKnown) << r.reason;
    EXPECT_EQ(r.known_fault, "probe-fault");
    EXPECT_EQ(verified(c, e, off_by(5, 1, "faulty"), faulty(false)).verdict, Verdict::kFailed);
    // The known fault does not cover the output "first".
    EXPECT_EQ(verified(c, e, off_by(0, 1, "faulty"), faulty()).verdict, Verdict::kFailed);
    const CaseResult gone = verified(c, e, honest("faulty"), faulty());
    EXPECT_EQ(gone.verdict, Verdict::kPassed);
    EXPECT_EQ(gone.known_fault, "probe-fault") << "if a known fault no longer occurs, the result must name its id";
  }
}

TEST_F(VerifyTest, AKnownFaultExcusesAnElementOutsideTheSample) {
  KnownFault fault = testing::known_fault("probe-fault", "golden_probe");
  fault.elements["y"]["row"] = {kUnsampled / 16, kUnsampled / 16};
  const Policy policy = testing::policy_of(fault);
  const CheckedCase c = probe(kLarge, "exact");
  const GoldenEntry e = recorded(c);
  const CaseResult r = verified(c, e, off_by(kUnsampled, 1, "faulty"), policy);
  EXPECT_EQ(r.verdict, Verdict::kKnown) << r.reason;
  EXPECT_EQ(r.known_fault, "probe-fault");
  EXPECT_EQ(verified(c, e, off_by(kUnsampled + 16, 1, "faulty"), policy).verdict, Verdict::kFailed)
      << "the fault does not concern this row";
  // The set and today's reference agree, and both differ from the golden: in a row of the fault, and in other rows.
  for (const std::int64_t at : {kUnsampled, kUnsampled + 16, kUnsampled + 16384}) {
    reference = off_by(at, 1, "reference", true);
    EXPECT_EQ(verified(c, e, off_by(at, 1, "faulty"), policy).verdict, Verdict::kFailed) << at;
  }
  reference = honest("reference", true);
  EXPECT_EQ(verified(c, e, off_by(kUnsampled, 1, "faulty"), policy, true).verdict, Verdict::kFailed)
      << "other bits fail under --exact";
}

TEST_F(VerifyTest, FindingsFailEvenWithTheRecordedBits) {
  const CheckedCase c = probe(8, "exact");
  FakeCaller subject = honest();
  subject.findings = {{"guard", "x: a guard byte 3 bytes before its memory was overwritten"}};
  const CaseResult r = verified(c, recorded(c), subject);
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(r.reason, HasSubstr("guard"));
}

TEST_F(VerifyTest, RefusalsAndAbsentOpsKeepTheirVerdicts) {
  const CheckedCase c = probe(8, "exact");
  const GoldenEntry e = recorded(c);
  FakeCaller refuses = honest();
  refuses.refusal = "n is even";
  const CaseResult refused = verified(c, e, refuses);
  EXPECT_EQ(refused.verdict, Verdict::kError);
  EXPECT_THAT(refused.reason, HasSubstr("n is even"));
  FakeCaller lacks = honest();
  lacks.unsupported = true;
  EXPECT_EQ(verified(c, e, lacks).verdict, Verdict::kUnsupported);
}

TEST_F(VerifyTest, AddedRemovedAndReshapedOutputsFail) {
  const CheckedCase c = probe(32, "exact");
  const GoldenEntry e = recorded(c);
  GoldenEntry more = e;
  more.outputs.push_back(e.outputs[1]);
  more.outputs.back().name = "second";
  EXPECT_THAT(verified(c, more, honest()).reason, HasSubstr("only the golden has this output"));
  GoldenEntry fewer = e;
  fewer.outputs.pop_back();
  EXPECT_THAT(verified(c, fewer, honest()).reason, HasSubstr("the golden has no such output"));
  GoldenEntry flat = e;
  flat.outputs[0].shape = {32};
  const CaseResult r = verified(c, flat, honest());
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(r.reason, HasSubstr("got f32[2, 16], the golden has f32[32]"));
}

TEST_F(VerifyTest, CasesThatTheOpNoLongerHasAreErrors) {
  CaseResult lost;
  const CheckedCase c = probe(8, "exact");
  GoldenEntry e = recorded(c);
  const SideNames names{"label", "after", "golden:good"};
  EXPECT_EQ(case_of_entry(e, names, lost).value(), c);
  for (const char* id :
       {"golden_probe/n=8,mode=exact/seed=1", "golden_probe/n=8/seed=1", "no_such_op/n=8/seed=1",
        "golden_probe/judge=exact,n=8/seed=1", "golden_probe/relation:repeat/n=8,judge=exact/seed=1", ""}) {
    e.id = id;
    EXPECT_FALSE(case_of_entry(e, names, lost).has_value()) << id;
    EXPECT_EQ(lost.verdict, Verdict::kError);
    EXPECT_EQ(lost.id, id);
    EXPECT_EQ(lost.set_name, "after");
    EXPECT_EQ(lost.set_label, "label");
    EXPECT_EQ(lost.against, "golden:good");
    EXPECT_THAT(lost.reason, HasSubstr("a case that the op does not have any more"));
  }
}

TEST_F(VerifyTest, ExactFailsOtherBitsThatTheToleranceAllows) {
  for (const std::int64_t n : {std::int64_t{32}, kLarge}) {
    const CheckedCase c = probe(n, "bound");
    const GoldenEntry e = recorded(c);
    EXPECT_EQ(verified(c, e, honest(), {}, true).verdict, Verdict::kPassed);
    const CaseResult r = verified(c, e, off_by(n - 1, 0.0005F), {}, true);
    EXPECT_EQ(r.verdict, Verdict::kFailed);
    EXPECT_THAT(r.reason, AllOf(HasSubstr("differs from the golden in y: 1 of 32 elements have other bits"),
                                HasSubstr("--exact allows no other bits"), Not(HasSubstr("out of date"))));
    EXPECT_EQ(r.outputs[0].bits->outside, 0);
  }
  // The digest shows a difference outside the sample.
  const CheckedCase c = probe(kLarge, "bound");
  const CaseResult hidden = verified(c, recorded(c), off_by(kUnsampled, 0.0005F), {}, true);
  EXPECT_EQ(hidden.verdict, Verdict::kFailed);
  EXPECT_THAT(hidden.reason, HasSubstr("1 of 3 blocks differ"));
}

TEST_F(VerifyTest, ADifferenceOutsideTheSampleCountsAsOtherBits) {
  const CheckedCase c = probe(kLarge, "bound");
  const CaseResult r = verified(c, recorded(c), off_by(kUnsampled, 0.0005F));
  EXPECT_EQ(r.verdict, Verdict::kPassed) << r.reason;
  EXPECT_EQ(r.same_bits(), false);
  EXPECT_EQ(r.outputs[0].bits, (BitComparison{.compared = kLarge, .other = 1}));
  EXPECT_NEAR(r.outputs[0].tightness, 0.5, 1e-3) << "the reference sees the element";
}

TEST_F(VerifyTest, BitsAreComparedWithAGoldenThatIsNotUsed) {
  const CheckedCase c = probe(32, "exact");
  const GoldenEntry e = recorded(c, off_by(5, 1, "good"), faulty());
  EXPECT_EQ(verified(c, e, off_by(5, 1, "good"), faulty()).same_bits(), true);
  const CaseResult mended = verified(c, e, honest("after"), {}, true);
  EXPECT_EQ(mended.same_bits(), false);
  EXPECT_EQ(mended.verdict, Verdict::kPassed) << "nobody wants the bits of a wrong output";
}

}  // namespace
}  // namespace dsv4
