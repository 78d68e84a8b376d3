#include "harness/generate/fills.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "harness/core/bits.h"
#include "harness/core/error.h"
#include "harness/ops/topk/score_fills.h"

namespace dsv4::testing {
namespace {

/// Returns the values that a fill writes into `n` elements.
std::vector<double> values_of(const Fill& fill, DType dtype, std::int64_t n) {
  HostTensor t = HostTensor::make(dtype, {n});
  Random random(1, fill.name);
  fill.apply(random, Elements(t));
  std::vector<double> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(value_of(dtype, t.element(i)));
  return values;
}

double greatest(const std::vector<double>& values) {
  double most = 0;
  for (const double x : values) most = std::max(most, std::fabs(x));
  return most;
}

TEST(Elements, WritesOnlyItsOwnElements) {
  HostTensor t = HostTensor::make(DType::kF32, {2, 4});
  Elements elements(t, 1, 2);
  elements.set_all([] { return 7.0; });
  EXPECT_THAT((std::vector<float>{t.data<float>(), t.data<float>() + 8}),
              ::testing::ElementsAre(0, 7, 7, 0, 0, 0, 0, 0));
}

TEST(Elements, RoundsToBfloat16AndKeepsPayloadsOfBits) {
  HostTensor t = HostTensor::make(DType::kBF16, {3});
  Elements elements(t);
  elements.set(0, 1.0 + 0x1p-8);  // a tie: rounds to the even code, 1
  elements.set(1, std::nan(""));
  elements.set_bits(2, 0x7f810001u);
  EXPECT_EQ(t.at<std::uint16_t>(0), 0x3f80);
  EXPECT_EQ(t.at<std::uint16_t>(1), 0x7fff);
  EXPECT_EQ(t.at<std::uint16_t>(2), 0x7f81);
}

TEST(Elements, RefusesElementsThatDoNotLieSideBySide) {
  HostTensor gaps = HostTensor::with_gaps(DType::kF32, {2, 4}, 1);
  EXPECT_NO_THROW(Elements(gaps, 4, 4));
  EXPECT_THROW(Elements(gaps, 0, 8), Error);
  HostTensor integers = HostTensor::make(DType::kI32, {4});
  EXPECT_THROW(Elements{integers}, Error);
}

TEST(Fills, RefuseAnUnknownName) {
  const Fills fills{fills::gauss(), fills::zeros()};
  EXPECT_THAT(fills.names(), ::testing::ElementsAre("gauss", "zeros"));
  HostTensor t = HostTensor::make(DType::kF32, {1});
  Random random(1, "x");
  EXPECT_THROW(fills.apply("gaus", random, Elements(t)), Error);
}

TEST(Fills, WriteEveryElement) {
  for (const std::string& name : score_fills(512).names()) {
    for (const std::int64_t n : {0, 1, 513}) {
      HostTensor t = HostTensor::make(DType::kF32, {n});
      for (std::int64_t i = 0; i < n; ++i) t.at<float>(i) = -123.25f;
      Random random(1, name);
      score_fills(512).apply(name, random, Elements(t));
      EXPECT_EQ(std::count(t.data<float>(), t.data<float>() + n, -123.25f), 0) << name;
    }
  }
}

TEST(Fills, OneSpecialIsOne) {
  const auto count = [](const std::vector<double>& values, auto is) { return std::ranges::count_if(values, is); };
  const auto is_inf = [](double x) { return std::isinf(x); };
  const auto is_nan = [](double x) { return std::isnan(x); };
  EXPECT_EQ(count(values_of(fills::one_inf(), DType::kF32, 100), is_inf), 1);
  EXPECT_EQ(count(values_of(fills::one_nan(), DType::kBF16, 100), is_nan), 1);
  EXPECT_EQ(count(values_of(fills::all_nan(), DType::kF32, 100), is_nan), 100);
  EXPECT_EQ(count(values_of(fills::minus_inf(30), DType::kF32, 100), is_inf), 75);
}

TEST(Fills, TiesGoThroughTheCut) {
  const std::vector<double> values = values_of(fills::plateau(512), DType::kF32, 2000);
  EXPECT_EQ(std::ranges::count_if(values, [](double x) { return x > 3; }), 512 - 129);
  EXPECT_GT(std::ranges::count(values, 3.0), 129);  // more equal values than the 129 that can still be selected
}

TEST(QuantisedFills, HaveTheGreatestMagnitudeThatTheyPromise) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    EXPECT_EQ(greatest(values_of(fills::scaled_integers(), dtype, 64)), 448.0);
    EXPECT_EQ(greatest(values_of(fills::e4m3_midpoints(), dtype, 64)), 448.0);
    // The greatest magnitude is 448 times a power of two, or a neighbour of such a number. In bfloat16 a neighbour
    // differs by a relative distance of at most 2^-7.
    int exponent = 0;
    const double edge = std::frexp(greatest(values_of(fills::scale_edges(), dtype, 64)) / 448.0, &exponent);
    EXPECT_NEAR(edge < 0.75 ? 2 * edge : edge, 1.0, 0x1p-7);
  }
}

TEST(QuantisedFills, MidpointsLieBetweenTwoCodes) {
  std::int64_t halfway = 0;
  for (const double x : values_of(fills::e4m3_midpoints(), DType::kF32, 1000)) {
    const std::uint8_t code = e4m3_from_double(std::fabs(x));
    const double value = double_from_e4m3(code);
    for (const int other : {code - 1, code + 1}) {
      if (other >= 0 && other < 0x7f &&
          std::fabs(x) == (value + double_from_e4m3(static_cast<std::uint8_t>(other))) / 2)
        ++halfway;
    }
  }
  EXPECT_GT(halfway, 400);
  EXPECT_LT(halfway, 600);
}

}  // namespace
}  // namespace dsv4::testing
