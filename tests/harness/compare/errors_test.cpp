#include "harness/compare/errors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dsv4 {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUlp = 0x1p-23;  // of float, from 1 to 2

HostTensor tensor(const std::vector<float>& values, const Shape& shape = {}) {
  HostTensor t = HostTensor::of(DType::kF32, values);
  if (shape.empty()) return t;
  HostTensor shaped = HostTensor::make(DType::kF32, shape);
  shaped.storage = t.storage;
  return shaped;
}

Tolerance within(const std::vector<double>& bound, const Shape& shape = {}) {
  HostTensor t = HostTensor::of(DType::kF64, bound);
  if (shape.empty()) return Tolerance::within(t, "test");
  HostTensor shaped = HostTensor::make(DType::kF64, shape);
  shaped.storage = t.storage;
  return Tolerance::within(shaped, "test");
}

ErrorStatistics statistics(const std::vector<float>& got, const std::vector<float>& want, const Tolerance& t,
                           const Shape& shape = {}) {
  return error_statistics({"out", tensor(got, shape)}, {"out", tensor(want, shape)}, t).value();
}

float ulps(float x, int n) {
  for (; n > 0; --n) x = std::nextafterf(x, kInf);
  for (; n < 0; ++n) x = std::nextafterf(x, -kInf);
  return x;
}

TEST(UlpBucket, HasPowersOfTwoOfBothSigns) {
  const std::vector<std::pair<std::int64_t, std::int64_t>> pairs{
      {0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 4}, {7, 4}, {8, 8}, {-1, -1}, {-2, -2}, {-3, -2}, {-4, -4}, {-1000, -512}};
  for (const auto& [ulp, bucket] : pairs) EXPECT_EQ(ulp_bucket(ulp), bucket) << ulp;
  constexpr std::int64_t kTop = std::int64_t{1} << 62;
  EXPECT_EQ(ulp_bucket(std::numeric_limits<std::int64_t>::max()), kTop);
  EXPECT_EQ(ulp_bucket(std::numeric_limits<std::int64_t>::min()), -kTop);
}

TEST(Errors, AreCountedInUlpAndInSharesOfTheBound) {
  // Errors: none, +1 ulp, -3 ulp, +5 ulp of a negative number (toward zero).
  const auto s = statistics({1, ulps(1, 1), ulps(1, -6), ulps(-1, 5)}, {1, 1, 1, -1},
                            within({8 * kUlp, 8 * kUlp, 8 * kUlp, 8 * kUlp}));
  EXPECT_EQ(s.elements, 4);
  EXPECT_EQ(s.same, 1);
  EXPECT_EQ(s.bounded, 4);
  // Below 1, an ulp is half as large: 6 ulp are 3 ulp of 1. Above -1, too: 5 ulp are 2.5 of them.
  EXPECT_EQ(s.ulp, (std::map<std::int64_t, std::int64_t>{{-4, 1}, {0, 1}, {1, 1}, {4, 1}}));
  EXPECT_DOUBLE_EQ(s.mean_ulp.up, (0 + 1 - 6 + 5) / 4.0);
  EXPECT_DOUBLE_EQ(s.mean_ulp.away, (0 + 1 - 6 - 5) / 4.0);
  const double one = 1 / 8.0, three = 3 / 8.0, two = 2.5 / 8;
  EXPECT_DOUBLE_EQ(s.sums.sum.up, one - three + two);
  EXPECT_DOUBLE_EQ(s.sums.sum.away, one - three - two);
  EXPECT_DOUBLE_EQ(s.sums.sum_abs, one + three + two);
  EXPECT_DOUBLE_EQ(s.sums.sum_squares, one * one + three * three + two * two);
  EXPECT_DOUBLE_EQ(s.mean_share.up, (one - three + two) / 4);
  EXPECT_DOUBLE_EQ(s.largest_share, three);
  std::array<std::int64_t, 21> share{};
  share[0] = 1;  // none
  share[2] = 1;  // 0.125
  share[6] = 1;  // 0.3125
  share[7] = 1;  // 0.375
  EXPECT_EQ(s.share, share);
  ASSERT_TRUE(s.worst);
  EXPECT_EQ(s.worst->at, Shape{2});
  EXPECT_DOUBLE_EQ(s.worst->error, 3 * kUlp);
}

TEST(Errors, OneIsInTheLastBucketAndMoreIsBeyondIt) {
  const auto s = statistics({1.5f, 3, 1.25f}, {1, 1, 1}, within({0.5, 0.5, 0}));
  EXPECT_EQ(s.share[19], 1);
  EXPECT_EQ(s.share[20], 2) << "3 is 4 bounds away, and 1.25 differs although the bound is 0";
  EXPECT_TRUE(std::isinf(s.largest_share));
  EXPECT_DOUBLE_EQ(s.sums.sum.up, 3) << "shares are clipped to 1";
}

TEST(Errors, LeaveOutWhatHasNoError) {
  const auto s = statistics({kNan, kInf, 2, 1, -0.0f}, {1, kInf, 1, 1, 0}, within({1, 1, kInf, 0, 1}));
  EXPECT_EQ(s.not_finite, 2);
  EXPECT_EQ(s.elements, 3);
  EXPECT_EQ(s.bounded, 1) << "an infinite bound has no share, nor an equal element with the bound 0";
  EXPECT_EQ(s.ulp.at(0), 2) << "both zeros are one number";
  EXPECT_EQ(s.same, 1);
}

TEST(Errors, AnIntervalIsAsLargeAsItsWidth) {
  const Output got{"out", tensor({2, 1, 4})}, want{"out", tensor({1, 1, 3})};
  const auto s = error_statistics(got, want, Tolerance::between(tensor({1, 1, 3}), tensor({3, 1, 3}), "test")).value();
  EXPECT_EQ(s.bounded, 2) << "the second element has one right value, and has it";
  EXPECT_DOUBLE_EQ(s.sums.sum.up, 0.5 + 1) << "the third is outside its interval, which has the width 0";
  EXPECT_EQ(s.share[10], 1);
  EXPECT_EQ(s.share[20], 1);
}

TEST(Errors, AnIntervalOfAnotherChoiceHasNoShare) {
  // The stored scale differs from the reference's, so the right code is 4 where the reference has 2.
  const Output got{"out", tensor({4})}, want{"out", tensor({2})};
  const auto s = error_statistics(got, want, Tolerance::between(tensor({4}), tensor({4}), "test")).value();
  EXPECT_EQ(s.elements, 1);
  EXPECT_EQ(s.bounded, 0);
  EXPECT_EQ(s.share[20], 0);
  EXPECT_EQ(s.ulp.size(), 1u);
}

TEST(Errors, APairNeedsABoundOnBothSides) {
  // The first element has another choice on one side, the second one has a bound on both sides.
  const Output got{"out", tensor({4, 3})}, other{"out", tensor({2, 2})}, want{"out", tensor({2, 2})};
  const auto choice = Tolerance::between(tensor({4, 0}), tensor({4, 4}), "test");
  const auto pair = paired_errors(got, choice, other, Tolerance::between(tensor({0, 0}), tensor({4, 4}), "test"), want);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->compared, 2);
  EXPECT_DOUBLE_EQ(pair->difference.sum_abs, 0.25) << "only the second element counts: it moved by 1 of 4";
}

TEST(Errors, AreAbsentForExactOutputsAndOtherForms) {
  const Output one{"out", tensor({1})}, two{"out", tensor({1, 2})};
  EXPECT_FALSE(error_statistics(one, one, Tolerance::exact("test")));
  EXPECT_FALSE(error_statistics(one, one, Tolerance::exact_nan("test")));
  EXPECT_FALSE(error_statistics(one, two, within({1, 1})));
  EXPECT_FALSE(error_statistics(one, one, within({1, 1})));
  EXPECT_TRUE(error_statistics(one, one, within({1})));
  EXPECT_TRUE(error_statistics({"out", tensor({}, {0, 4})}, {"out", tensor({}, {0, 4})}, within({}, {0, 4})));
  EXPECT_FALSE(paired_errors(one, within({1}), two, within({1, 1}), one));
}

TEST(Errors, LeaveOutExcusedElements) {
  ExcusedElements excused{HostTensor::of(DType::kI32, std::vector<std::int32_t>{0, 1}), {"fault"}};
  const Output got{"out", tensor({1.5f, 9})}, want{"out", tensor({1, 1})};
  const auto s = error_statistics(got, want, within({1, 1}), excused).value();
  EXPECT_EQ(s.excused, 1);
  EXPECT_EQ(s.elements, 1);
  EXPECT_DOUBLE_EQ(s.largest_share, 0.5);
  const auto p = paired_errors(got, within({1, 1}), want, within({1, 1}), want, excused).value();
  EXPECT_EQ(p.compared, 1);
  EXPECT_EQ(p.same, 0);
  EXPECT_DOUBLE_EQ(p.difference.sum.up, 0.5);
}

TEST(Errors, RowsAreAddedUpAndEqualRowsCountOnce) {
  const Shape shape{4, 2};
  // The first and the last row have the same bits in the reference.
  const std::vector<float> want{1, 1, 1, 2, 2, 2, 1, 1};
  const std::vector<float> got{1.5f, 1.5f, 1.25f, 1.75f, 2, 2, 1.5f, 1.5f};
  const std::vector<double> ones(8, 1.0);
  const auto pair = paired_errors({"out", tensor(got, shape)}, within(ones, shape), {"out", tensor(want, shape)},
                                  within(ones, shape), {"out", tensor(want, shape)})
                        .value();
  EXPECT_EQ(pair.compared, 8);
  EXPECT_EQ(pair.same, 2);
  EXPECT_EQ(pair.difference.rows, 3);
  EXPECT_DOUBLE_EQ(pair.difference.sum.up, 2.0);
  EXPECT_DOUBLE_EQ(pair.difference.sum_abs, 2.5);
  EXPECT_DOUBLE_EQ(pair.difference.row_squares.up, 2.0 * 2.0 + 0 + 0) << "rows 0 and 3 together, row 1, row 2";
  EXPECT_EQ(pair.other.same, 8);
  // Relative to the mean of 0.25 an element: 2 - 4 * 0.25, 0 - 2 * 0.25, 0 - 2 * 0.25.
  const auto s = statistics(got, want, within(ones, shape), shape);
  EXPECT_DOUBLE_EQ(s.sums.row_squares.up, 1.0 + 0.25 + 0.25);
}

TEST(Errors, AnyNanIsTheSameAsAnother) {
  const Output a{"out", tensor({kNan, 1})}, b{"out", tensor({-kNan, kNan})};
  const auto p = paired_errors(b, within({1, 1}), a, within({1, 1}), a).value();
  EXPECT_EQ(p.compared, 2);
  EXPECT_EQ(p.same, 1);
  EXPECT_EQ(p.difference.sum_abs, 0);
}

TEST(Errors, AMoveIsTheDifferenceOfBothErrors) {
  const Output reference{"out", tensor({1, -1, 1})};
  const Output a{"out", tensor({1.25f, -1.25f, 1})}, b{"out", tensor({1.5f, -1, kNan})};
  const auto p = paired_errors(b, within({1, 1, 1}), a, within({1, 1, 1}), reference).value();
  EXPECT_DOUBLE_EQ(p.difference.sum.up, 0.25 + 0.25) << "the element with NaN is left out";
  EXPECT_DOUBLE_EQ(p.difference.sum.away, 0.25 - 0.25);
  EXPECT_DOUBLE_EQ(p.difference.sum_squares, 2 * 0.0625);
  EXPECT_EQ(p.same, 0);
  const auto itself = paired_errors(a, within({1, 1, 1}), a, within({1, 1, 1}), reference).value();
  EXPECT_EQ(itself.same, 3);
  EXPECT_EQ(itself.difference.sum_abs, 0);
}

}  // namespace
}  // namespace dsv4
