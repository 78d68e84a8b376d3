#include "reference/common/hadamard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "harness/generate/random.h"
#include "reference/common/interval.h"

namespace dsv4::reference {
namespace {

using ::testing::Each;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

TEST(Hadamard, OfAFewElements) {
  // The matrix of four elements, divided by 2, has the rows ++++, +-+-, ++--, +--+.
  EXPECT_THAT(hadamard<float>({1.0f, 2.0f, 4.0f, 8.0f}), ::testing::ElementsAre(7.5f, -2.5f, -4.5f, 1.5f));
}

TEST(Hadamard, OfAUnitVectorIsARowOfTheMatrix) {
  for (const unsigned j : {0u, 1u, 77u, 127u}) {
    std::vector<float> x(128, 0.0f);
    x[j] = 1.0f;
    const std::vector<float> y = hadamard(x);
    for (unsigned i = 0; i < 128; ++i) {
      const bool negative = std::popcount(i & j) % 2 != 0;
      EXPECT_EQ(bits_of(y[i]), negative ? 0xbdb504f3u : 0x3db504f3u) << i << ' ' << j;
    }
  }
}

TEST(Hadamard, TwiceIsTheIdentityWithinItsRoundings) {
  Random random(1, "x");
  std::vector<float> x(128);
  double norm = 0.0;
  for (float& value : x) {
    value = random.gauss();
    norm += static_cast<double>(value) * value;
  }
  const std::vector<float> twice = hadamard(hadamard(x));
  // Each transform has 7 stages and a product, and it keeps the norm.
  for (std::size_t i = 0; i < 128; ++i) EXPECT_NEAR(twice[i], x[i], 16 * 0x1p-24 * std::sqrt(norm)) << i;
}

TEST(Hadamard, SumsOfIntegersAreExact) {
  Random random(2, "x");
  std::vector<float> x(128);
  for (float& value : x) value = static_cast<float>(random.between(-16, 16));
  const std::vector<float> y = hadamard(x);
  for (unsigned i = 0; i < 128; ++i) {
    float sum = 0.0f;
    for (unsigned j = 0; j < 128; ++j) sum += std::popcount(i & j) % 2 != 0 ? -x[j] : x[j];
    EXPECT_EQ(y[i], sum * 0x1.6a09e6p-4f) << i;
  }
}

TEST(Hadamard, ZerosAndNan) {
  // The sum of two -0 is -0, and every difference of zeros with equal signs is +0.
  const std::vector<float> y = hadamard(std::vector<float>(128, -0.0f));
  for (std::size_t i = 0; i < 128; ++i) EXPECT_EQ(bits_of(y[i]), i == 0 ? 0x80000000u : 0u) << i;
  std::vector<float> x(128, 1.0f);
  x[5] = kNan;
  EXPECT_THAT(hadamard(x), Each(::testing::IsNan()));
}

TEST(Intervals, OfSumsAndProducts) {
  const auto expect = [](Interval got, float low, float high) {
    EXPECT_EQ(bits_of(got.low), bits_of(low));
    EXPECT_EQ(bits_of(got.high), bits_of(high));
  };
  const Interval a{1.0f, 2.0f}, b{-4.0f, 3.0f};
  expect(a + b, -3.0f, 5.0f);
  expect(a - b, -2.0f, 6.0f);
  expect(b - a, -6.0f, 2.0f);
  expect(b * 2.0f, -8.0f, 6.0f);
  expect(a * b, -8.0f, 6.0f);
  expect(hull(std::array{0.0f, -0.0f}), -0.0f, 0.0f);
  EXPECT_TRUE(std::isnan((a + Interval{kNan, kNan}).high));
  // An infinity minus an infinity may occur or not.
  expect(Interval{1.0f, kInf} - Interval{kInf, kInf}, -kInf, kInf);
  expect(hull(std::array{kNan, 1.0f}), -kInf, kInf);
  EXPECT_TRUE(std::isnan(hull(std::array{kNan, kNan}).low));
}

TEST(Intervals, GreatestMagnitude) {
  const Interval m = greatest_magnitude({{-3.0f, -2.0f}, {-1.0f, 2.5f}, {kNan, kNan}});
  EXPECT_EQ(m.low, 2.0f);
  EXPECT_EQ(m.high, 3.0f);
  EXPECT_EQ(greatest_magnitude({{kNan, kNan}}).high, 0.0f);
}

TEST(Intervals, TheTransformContainsEveryResult) {
  Random random(3, "x");
  std::vector<Interval> x(128);
  std::vector<float> some(128);
  for (int times = 0; times < 50; ++times) {
    for (std::size_t i = 0; i < 128; ++i) {
      const float value = random.gauss();
      x[i] = {value, random.chance(2) ? value : std::nextafter(value, kInf)};
      some[i] = random.chance(2) ? x[i].low : x[i].high;
    }
    const std::vector<Interval> ends = hadamard(x);
    const std::vector<float> y = hadamard(some);
    for (std::size_t i = 0; i < 128; ++i) {
      EXPECT_LE(ends[i].low, y[i]) << i;
      EXPECT_GE(ends[i].high, y[i]) << i;
    }
  }
}

}  // namespace
}  // namespace dsv4::reference
