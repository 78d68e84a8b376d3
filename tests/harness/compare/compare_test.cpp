#include "harness/compare/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dsv4 {
namespace {

using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

HostTensor f32(const std::vector<float>& values) { return HostTensor::of(DType::kF32, values); }
HostTensor f64(const std::vector<double>& values) { return HostTensor::of(DType::kF64, values); }

OutputReport compare(const std::vector<float>& got, const std::vector<float>& want, const Tolerance& t,
                     double scale = 1.0) {
  return compare_output({"out", f32(got)}, {"out", f32(want)}, t, scale);
}

Tolerance within(const std::vector<double>& bound) { return Tolerance::within(f64(bound), "test"); }
Tolerance between(const std::vector<float>& low, const std::vector<float>& high) {
  return Tolerance::between(f32(low), f32(high), "test");
}

/// A pair of values, and for each tolerance whether the pair passes.
struct Row {
  const char* what;
  float got, want;
  bool exact, exact_nan, bound, bound_zero, bound_infinite, interval;  // true if the pair passes
};

// With `bound`, `got` may differ from `want` by 0.5. The interval contains only `want`.
//                                       exact  nan    0.5    0      inf    interval
const Row kRows[] = {
    {"equal", 1.5f, 1.5f, true, true, true, true, true, true},
    {"off by half", 2.0f, 1.5f, false, false, true, false, true, false},
    {"off by more", 2.5f, 1.5f, false, false, false, false, true, false},
    {"tiny against zero", 4e-6f, 0.0f, false, false, true, false, true, false},
    {"zero against tiny", 0.0f, 4e-6f, false, false, true, false, true, false},
    {"denormal against zero", 1e-45f, 0, false, false, true, false, true, false},
    {"-0 against +0", -0.0f, 0.0f, false, false, true, true, true, false},
    {"+0 against -0", 0.0f, -0.0f, false, false, true, true, true, false},
    {"NaN against 1", kNan, 1.0f, false, false, false, false, false, false},
    {"NaN against 0", kNan, 0.0f, false, false, false, false, false, false},
    {"1 against NaN", 1.0f, kNan, false, false, false, false, false, false},
    {"0 against NaN", 0.0f, kNan, false, false, false, false, false, false},
    {"same NaN", kNan, kNan, true, true, true, true, true, true},
    {"NaN of other sign", -kNan, kNan, false, true, true, true, true, false},
    {"NaN against inf", kNan, kInf, false, false, false, false, false, false},
    {"inf against NaN", kInf, kNan, false, false, false, false, false, false},
    {"inf against inf", kInf, kInf, true, true, true, true, true, true},
    {"-inf against inf", -kInf, kInf, false, false, false, false, true, false},
    {"inf against -inf", kInf, -kInf, false, false, false, false, true, false},
    {"1 against inf", 1.0f, kInf, false, false, false, false, true, false},
    {"inf against 1", kInf, 1.0f, false, false, false, false, true, false},
    {"-inf against 1", -kInf, 1.0f, false, false, false, false, true, false},
    {"largest against inf", 3.4028235e38f, kInf, false, false, false, false, true, false},
};

TEST(Compare, EveryToleranceOnPairsOfSpecialValues) {
  for (const Row& row : kRows) {
    // The tested element has a right element on each side, so that it is neither the first nor the last of the loop.
    const auto passes = [&](const Tolerance& t) {
      const OutputReport r = compare({1, row.got, 2}, {1, row.want, 2}, t);
      EXPECT_EQ(r.compared, 3);
      EXPECT_LE(r.violations, 1) << row.what;
      EXPECT_EQ(r.first.has_value(), r.violations == 1) << row.what;
      EXPECT_TRUE(!r.first || r.first->at == Shape{1}) << row.what;
      return r.violations == 0;
    };
    EXPECT_EQ(passes(Tolerance::exact("")), row.exact) << row.what;
    EXPECT_EQ(passes(Tolerance::exact_nan("")), row.exact_nan) << row.what;
    EXPECT_EQ(passes(within({0.5, 0.5, 0.5})), row.bound) << row.what;
    EXPECT_EQ(passes(within({0, 0, 0})), row.bound_zero) << row.what;
    EXPECT_EQ(passes(within({kInf, kInf, kInf})), row.bound_infinite) << row.what;
    EXPECT_EQ(passes(between({1, row.want, 2}, {1, row.want, 2})), row.interval) << row.what;
    EXPECT_FALSE(passes(within({0.5, -1.0, 0.5})) && row.got != row.want && !std::isnan(row.want)) << row.what;
    EXPECT_FALSE(passes(within({0.5, std::nan(""), 0.5})) && row.got != row.want && !std::isnan(row.want)) << row.what;
  }
}

TEST(Compare, BoundIsInclusiveAndScaled) {
  const Tolerance t = within({0.25});
  EXPECT_EQ(compare({1.25f}, {1.0f}, t).violations, 0);
  EXPECT_EQ(compare({std::nextafter(1.25f, 2.0f)}, {1.0f}, t).violations, 1);
  EXPECT_EQ(compare({1.5f}, {1.0f}, t, 2.0).violations, 0);
  EXPECT_EQ(compare({std::nextafter(1.5f, 2.0f)}, {1.0f}, t, 2.0).violations, 1);
  EXPECT_DOUBLE_EQ(compare({1.125f}, {1.0f}, t).tightness, 0.5);
  EXPECT_DOUBLE_EQ(compare({1.125f}, {1.0f}, t, 2.0).tightness, 0.25);
  // The scale changes only bounds. An exact comparison ignores it.
  EXPECT_EQ(compare({1.5f}, {1.0f}, Tolerance::exact(""), 2.0).violations, 1);
}

TEST(Compare, TightnessUsesFiniteBoundsOnly) {
  const OutputReport r = compare({1.5f, 5.0f, 2.0f, kInf}, {1.0f, 1.0f, 2.0f, kInf}, within({1.0, kInf, 0.0, 1.0}));
  EXPECT_EQ(r.violations, 0);
  EXPECT_DOUBLE_EQ(r.tightness, 0.5);
}

TEST(Compare, IntervalCountsCertifiedAlternatives) {
  const Tolerance t = between({1, 1, -0.0f, 3}, {2, 2, 0.0f, 3});
  const OutputReport r = compare({1, 2, -0.0f, 3}, {1, 1, 0.0f, 3}, t);
  EXPECT_EQ(r.violations, 0);
  EXPECT_EQ(r.certified, 2);
  EXPECT_EQ(r.different, 2);
  EXPECT_EQ(compare({1, std::nextafter(2.0f, 3.0f), 0, 3}, {1, 1, 0, 3}, t).violations, 1);
  EXPECT_EQ(compare({1, std::nextafter(1.0f, 0.0f), 0, 3}, {1, 1, 0, 3}, t).violations, 1);
  // A value outside the interval fails, even if both sides have this value. An empty interval (its low end is above its
  // high end) allows no value.
  EXPECT_EQ(compare({9, 1, 0, 3}, {9, 1, 0, 3}, t).violations, 1);
  EXPECT_EQ(compare({1}, {1}, between({2}, {1})).violations, 1);
}

TEST(Compare, IntervalWithANanEndAllowsItsTwoEndsOnly) {
  EXPECT_EQ(compare({kNan}, {kNan}, between({kNan}, {kNan})).violations, 0);
  EXPECT_EQ(compare({1.0f}, {1.0f}, between({kNan}, {kNan})).violations, 1);
  EXPECT_EQ(compare({-kNan}, {kNan}, between({kNan}, {kNan})).violations, 1);
  const OutputReport r = compare({kNan}, {1.0f}, between({1.0f}, {kNan}));
  EXPECT_EQ(r.violations, 0);
  EXPECT_EQ(r.certified, 1);
  EXPECT_EQ(compare({0.5f}, {1.0f}, between({0.5f}, {kNan})).violations, 0);
  EXPECT_EQ(compare({0.75f}, {1.0f}, between({0.5f}, {kNan})).violations, 1);
  EXPECT_EQ(compare({kNan}, {1.0f}, between({-kInf}, {kInf})).violations, 1);
}

TEST(Compare, CountsViolationsWhereTheyAre) {
  HostTensor got = HostTensor::make(DType::kF32, {3, 200});
  HostTensor want = HostTensor::make(DType::kF32, {3, 200});
  HostTensor bound = HostTensor::make(DType::kF64, {3, 200});
  for (std::int64_t i = 0; i < 600; ++i) {
    got.set<float>(i, 1.0f);
    want.set<float>(i, 1.0f);
    bound.set<double>(i, 0.5);
  }
  got.set<float>(2 * 200 + 7, 2.0f);    // outside the bound: row 2, cell 7 / 4 = 1
  got.set<float>(0 * 200 + 5, 1.25f);   // within the bound
  got.set<float>(0 * 200 + 199, kNan);  // outside: row 0, the last cell
  const Tolerance half = Tolerance::within(bound, "");
  const OutputReport r = compare_output({"out", got}, {"out", want}, half);
  ASSERT_TRUE(r.places);
  EXPECT_EQ(r.places->shape, (Shape{3, 200}));
  ASSERT_EQ(r.places->grid_columns(), 50);
  std::vector<std::int64_t> expected(150, 0);
  expected[2 * 50 + 1] = expected[49] = 1;
  EXPECT_EQ(r.places->counts, expected);
  EXPECT_FALSE(compare_output({"out", want}, {"out", want}, half).places);  // no violation
}

TEST(Compare, ReportsFirstAndWorstViolation) {
  HostTensor got = HostTensor::strided(DType::kF32, {2, 3}, {5, 1}, 1);
  HostTensor want = HostTensor::make(DType::kF32, {2, 3});
  got.at<float>(0, 2) = 0.25f;
  got.at<float>(1, 1) = 4.0f;
  got.at<float>(1, 2) = 3.0f;
  const OutputReport r = compare_output({"out", got}, {"out", want}, Tolerance::exact(""));
  EXPECT_EQ(r.violations, 3);
  EXPECT_EQ(r.different, 3);
  ASSERT_TRUE(r.first && r.worst);
  EXPECT_EQ(r.first->at, (Shape{0, 2}));
  EXPECT_EQ(r.first->got, "0.25 (0x3e800000)");
  EXPECT_EQ(r.first->want, "0 (0x00000000)");
  EXPECT_EQ(r.worst->at, (Shape{1, 1}));
  EXPECT_EQ(r.worst->error, 4.0);
  got.at<float>(1, 2) = kNan;
  EXPECT_EQ(compare_output({"out", got}, {"out", want}, Tolerance::exact("")).worst->at, (Shape{1, 2}));
}

TEST(Compare, WorstIsTheGreatestRatioOfErrorToBound) {
  const OutputReport r = compare({2, 103, 0}, {1, 100, 0}, within({0.25, 2, 0}));
  EXPECT_EQ(r.violations, 2);
  EXPECT_EQ(r.worst->at, (Shape{0}));
}

TEST(Compare, AViolationOfAZeroBoundIsTheWorst) {
  const OutputReport r = compare({1.5f, 1e-9f}, {1, 0}, within({0.25, 0}));
  EXPECT_EQ(r.violations, 2);
  EXPECT_EQ(r.worst->at, (Shape{1}));
}

TEST(Compare, EmptyOutputsAndSingleElements) {
  const OutputReport empty = compare({}, {}, Tolerance::exact(""));
  EXPECT_EQ(empty.compared, 0);
  EXPECT_EQ(empty.violations, 0);
  EXPECT_FALSE(empty.trivial);
  EXPECT_EQ(compare({}, {}, within({})).violations, 0);
  const OutputReport one = compare({3}, {3}, Tolerance::exact(""));
  EXPECT_EQ(one.compared, 1);
  EXPECT_TRUE(one.trivial);
  EXPECT_FALSE(compare({3, 4}, {3, 4}, Tolerance::exact("")).trivial);
  EXPECT_TRUE(compare({3, 3}, {3, 4}, Tolerance::exact("")).trivial);
}

TEST(Compare, DifferentDtypesOrShapesAreOneViolation) {
  const auto expect_mismatch = [](const HostTensor& got, const HostTensor& want, const Tolerance& t, const char* text) {
    const OutputReport r = compare_output({"out", got}, {"out", want}, t);
    EXPECT_EQ(r.compared, 0);
    EXPECT_EQ(r.violations, 1);
    EXPECT_TRUE(r.first.has_value());
    EXPECT_THAT(r.reason, HasSubstr(text));
  };
  const Tolerance exact = Tolerance::exact("");
  expect_mismatch(f32({1, 2}), f32({1, 2, 3}), exact, "got f32[2], want f32[3]");
  expect_mismatch(f32({}), f32({1}), exact, "got f32[0], want f32[1]");
  expect_mismatch(HostTensor::make(DType::kF32, {2, 3}), HostTensor::make(DType::kF32, {6}), exact, "f32[2, 3]");
  expect_mismatch(f32({1}), f64({1}), exact, "got f32[1], want f64[1]");
  expect_mismatch(HostTensor::make(DType::kI8, {4}), HostTensor::make(DType::kU8, {4}), exact, "got i8[4], want u8[4]");
  expect_mismatch(HostTensor::make(DType::kBF16, {4}), HostTensor::make(DType::kF16, {4}), exact, "bf16[4]");
  expect_mismatch(f32({1, 2}), f32({1, 2}), within({1}), "the bound is f64[1], but the output is f32[2]");
  expect_mismatch(f32({1, 2}), f32({1, 2}), between({1}, {1, 2}), "the interval is f32[1] to f32[2]");
  expect_mismatch(f32({1}), f32({1}), Tolerance::between(f64({1}), f64({1}), ""), "the interval is f64[1]");
}

TEST(Compare, StridesDoNotMatter) {
  HostTensor gappy = HostTensor::strided(DType::kF32, {2, 2}, {7, 2}, 3);
  const HostTensor dense = HostTensor::make(DType::kF32, {2, 2});
  for (auto& byte : gappy.storage) byte = 0xff;
  for (std::int64_t i = 0; i < 4; ++i) std::memset(gappy.element(i), 0, 4);
  EXPECT_EQ(compare_output({"out", gappy}, {"out", dense}, Tolerance::exact("")).violations, 0);
  EXPECT_EQ(compare_output({"out", dense}, {"out", gappy}, Tolerance::exact("")).violations, 0);
}

TEST(Compare, IntegersAreExactAtAnySize) {
  // As a double, 2^53 + 1 rounds to 2^53. So a comparison of the values as doubles would find them equal.
  const auto big = HostTensor::of(DType::kI64, std::vector<std::int64_t>{(1LL << 53) + 1});
  const auto near = HostTensor::of(DType::kI64, std::vector<std::int64_t>{1LL << 53});
  EXPECT_EQ(compare_output({"out", big}, {"out", near}, Tolerance::exact("")).violations, 1);
  EXPECT_EQ(compare_output({"out", big}, {"out", near}, Tolerance::exact_nan("")).violations, 1);
  EXPECT_EQ(compare_output({"out", big}, {"out", near}, Tolerance::between(near, near, "")).violations, 1);
}

TEST(Compare, ComparesE4m3Codes) {
  const auto e4m3 = [](std::uint8_t code) { return HostTensor::of(DType::kE4M3, std::vector<std::uint8_t>{code}); };
  const auto violations = [&](std::uint8_t got, std::uint8_t want, const Tolerance& t) {
    return compare_output({"out", e4m3(got)}, {"out", e4m3(want)}, t).violations;
  };
  EXPECT_EQ(violations(0x7f, 0xff, Tolerance::exact("")), 1);
  EXPECT_EQ(violations(0x7f, 0xff, Tolerance::exact_nan("")), 0);
  EXPECT_EQ(violations(0x7f, 0x7e, Tolerance::exact_nan("")), 1);
  // 0x81 and 0x01 are the denormals next to zero, the negative one and the positive one.
  const Tolerance about_zero = Tolerance::between(e4m3(0x81), e4m3(0x01), "");
  for (const int code : {0x81, 0x80, 0x00, 0x01}) EXPECT_EQ(violations(code, 0x00, about_zero), 0) << code;
  for (const int code : {0x82, 0x02, 0x7f, 0xff}) EXPECT_EQ(violations(code, 0x00, about_zero), 1) << code;
}

TEST(Compare, CountsOtherBitsAndHowFarTheAllowedOnesAre) {
  const float one_up = std::nextafter(1.0f, 2.0f);
  const float two_up = std::nextafter(one_up, 2.0f);
  const OutputReport r =
      compare({1, two_up, one_up, 9, kNan, -0.0f}, {1, 1, 1, 1, 1, 0}, within({1, 1, 1e-6, 2, 2, 1}));
  const double step = one_up - 1.0;
  EXPECT_EQ(r.bits, (BitComparison{.compared = 6, .other = 5, .outside = 2, .ulp = 2, .share = step / 1e-6}));
  EXPECT_EQ(r.different, 5);
  EXPECT_EQ(r.violations, 2);
  // The scale makes the bound larger, so that the share of it is smaller.
  EXPECT_DOUBLE_EQ(compare({one_up}, {1}, within({1e-6}), 2.0).bits->share, step / 2e-6);
  EXPECT_EQ(compare({1, 2}, {1, 2}, Tolerance::exact("")).bits, (BitComparison{.compared = 2}));
  EXPECT_EQ(compare({2}, {1}, between({1}, {2})).bits->ulp, 1 << 23);
  EXPECT_EQ(compare({2}, {1}, between({1}, {2})).bits->share, 0) << "an interval is not a bound";
  EXPECT_EQ(compare({-kNan}, {kNan}, Tolerance::exact_nan("")).bits, (BitComparison{.compared = 1, .other = 1}));
  EXPECT_EQ(compare({-kInf}, {kInf}, within({kInf})).bits->share, 0) << "an infinite bound has no share";
}

TEST(Compare, TheDistanceOfFarNumbersDoesNotOverflow) {
  const double most = std::numeric_limits<double>::max();
  const OutputReport r = compare_output({"out", f64({most})}, {"out", f64({-most})},
                                        Tolerance::within(f64({std::numeric_limits<double>::infinity()}), ""));
  EXPECT_EQ(r.violations, 0);
  EXPECT_EQ(r.bits->ulp, std::numeric_limits<std::int64_t>::max());
}

TEST(Compare, ExactMakesEveryOtherBitAViolationAndStillSaysHowFar) {
  const float up = std::nextafter(1.0f, 2.0f);
  const auto exact = [&](const Tolerance& t) {
    return compare_output({"out", f32({1, up, 9})}, {"out", f32({1, 1, 1})}, t, 1.0, {}, true);
  };
  const OutputReport r = exact(within({1, 1, 1}));
  EXPECT_EQ(r.violations, 2);
  EXPECT_EQ(r.tolerance, "exact");
  EXPECT_EQ(r.bits, (BitComparison{.compared = 3, .other = 2, .outside = 1, .ulp = 1, .share = up - 1.0}));
  EXPECT_EQ(r.first->at, (Shape{1}));
  EXPECT_EQ(exact(between({1, 1, 1}, {9, 9, 9})).violations, 2);
  EXPECT_EQ(exact(Tolerance::exact_nan("")).violations, 2);
}

}  // namespace
}  // namespace dsv4
