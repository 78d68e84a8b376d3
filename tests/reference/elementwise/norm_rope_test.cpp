#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// Some rows with a position each. Row 0 of the table does not rotate.
struct NormRopeCall {
  HostTensor input, weight = HostTensor::make(DType::kBF16, {512}), positions;
  HostTensor freqs = HostTensor::make(DType::kF32, {2, 64});
  std::int64_t mode = 2, ratio = 0;
  double eps = 0.0;

  explicit NormRopeCall(std::int64_t rows = 1)
      : input(HostTensor::make(DType::kBF16, {rows, 512})), positions(HostTensor::make(DType::kI64, {rows})) {
    for (int i = 0; i < 64; i += 2) freqs.at<float>(0, i) = freqs.at<float>(1, i) = 1.0f;
    for (int d = 0; d < 512; ++d) weight.at<std::uint16_t>(d) = bf16_from_float(1.0f);
  }
  NormRopeCall& all(float value) {
    for (std::int64_t i = 0; i < input.numel(); ++i) set_float(input, i, value);
    return *this;
  }
  NormRopeCall& call() {
    call_reference("norm_rope", "forward", {&input, &weight, &positions, &freqs, mode, eps, ratio});
    return *this;
  }
  [[nodiscard]] float at(std::int64_t row, std::int64_t d) const {
    return float_from_bf16(input.at<std::uint16_t>(row, d));
  }
  [[nodiscard]] std::vector<float> row(std::int64_t r) const {
    std::vector<float> values;
    for (std::int64_t d = 0; d < 512; ++d) values.push_back(at(r, d));
    return values;
  }
};

TEST(NormRopeReference, DividesByTheRootOfTheMeanSquareAndMultipliesByTheWeight) {
  NormRopeCall c;
  c.weight.at<std::uint16_t>(7) = bf16_from_float(-3.0f);
  c.all(4.0f).call();
  EXPECT_EQ(c.at(0, 6), 1.0f);
  EXPECT_EQ(c.at(0, 7), -3.0f);
  c.eps = 3.0;  // the mean is 1 + 3
  EXPECT_EQ(c.all(1.0f).call().at(0, 7), -1.5f);
}

TEST(NormRopeReference, RoundsTheWeightedElementOnce) {
  // 32 / sqrt(2) = 22.6274, and 22.6274 * 1.046875 = 23.6881 is nearest to 23.75. With a rounding to bfloat16 before,
  // 22.625 * 1.046875 = 23.6855 would be nearest to 23.625.
  NormRopeCall c;
  set_float(c.input, 0, 32.0f);
  c.weight.at<std::uint16_t>(0) = bf16_from_float(1.046875f);
  EXPECT_EQ(c.call().at(0, 0), 23.75f);
}

TEST(NormRopeReference, RotatesTheRoundedElements) {
  // As in q_norm_rope: 22.125 - 4 * 4.84375 = 2.75. Without the first rounding it would be 2.765625.
  NormRopeCall c;
  c.freqs.at<float>(0, 1) = 4.0f;
  set_float(c.input, 448, 32.0f);
  set_float(c.input, 449, 7.0f);
  EXPECT_EQ(c.call().at(0, 448), 2.75f);
  EXPECT_EQ(c.at(0, 449), bf16(22.125f * 4.0f + 4.84375f));
}

TEST(NormRopeReference, UsesThePositionOfEachRowAndLeavesOtherRowsAlone) {
  NormRopeCall c(4);
  for (int i = 0; i < 64; i += 2) c.freqs.at<float>(1, i) = 3.0f;  // position 1 multiplies by 3
  c.positions = HostTensor::of<std::int64_t>(DType::kI64, {1, 0, (std::int64_t{1} << 32) + 1});
  c.all(2.0f).call();
  EXPECT_EQ(c.at(0, 450), 3.0f);
  EXPECT_EQ(c.at(0, 447), 1.0f);
  EXPECT_THAT(c.row(1), Each(1.0f));
  EXPECT_THAT(c.row(2), Each(1.0f));  // the position is outside the table: no rotation
  EXPECT_THAT(c.row(3), Each(2.0f));  // no position
}

TEST(NormRopeReference, HandlesSpecialValues) {
  NormRopeCall c;
  c.eps = 1e-6;
  c.all(1.0f);
  set_float(c.input, 3, std::nanf(""));
  for (const float y : c.call().row(0)) EXPECT_TRUE(std::isnan(y));
  c.all(-1.0f);
  set_float(c.input, 3, std::numeric_limits<float>::infinity());
  c.call();
  EXPECT_TRUE(std::isnan(c.at(0, 3)));
  EXPECT_EQ(c.at(0, 4), 0.0f);
  EXPECT_THAT(c.all(0.0f).call().row(0), Each(0.0f));
}

TEST(NormRopeInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  constexpr std::int64_t kRows = 60;
  NormRopeCall c(kRows);
  c.eps = 1e-6;
  Random random(11, "input");
  fill_floats(c.input, [&] { return random.gauss(); });
  fill_floats(c.weight, [&] { return random.gauss(); });
  fill_floats(c.freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  NormRopeCall low = c, high = c;
  call_reference("norm_rope", "forward_interval",
                 {&c.input, &c.weight, &c.positions, &c.freqs, c.mode, c.eps, c.ratio, &low.input, &high.input});
  const NormRopeCall before = c;
  c.call();
  std::int64_t open = 0;
  const auto expect_inside = [&](std::int64_t r, std::int64_t d, float value) {
    EXPECT_LE(low.at(r, d), bf16(value)) << r << ' ' << d;
    EXPECT_GE(high.at(r, d), bf16(value)) << r << ' ' << d;
  };
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t d = 0; d < 512; ++d) {
      expect_inside(r, d, c.at(r, d));
      open += low.at(r, d) != high.at(r, d) ? 1 : 0;
    }
    const std::vector<float> x = before.row(r);
    for (const float factor : float_factors(x, static_cast<float>(c.eps))) {
      const auto y = [&](std::int64_t d) {
        return bf16(x[static_cast<std::size_t>(d)] * factor * float_from_bf16(c.weight.at<std::uint16_t>(d)));
      };
      for (std::int64_t d = 0; d < 448; ++d) expect_inside(r, d, y(d));
      for (std::int64_t d = 448; d < 512; d += 2) {
        const float cos = c.freqs.at<float>(0, d - 448), sin = c.freqs.at<float>(0, d - 447);
        expect_inside(r, d, std::fma(y(d), cos, -(y(d + 1) * sin)));
        expect_inside(r, d, y(d) * cos - y(d + 1) * sin);
        expect_inside(r, d + 1, std::fma(y(d), sin, y(d + 1) * cos));
        expect_inside(r, d + 1, std::fma(y(d + 1), cos, y(d) * sin));
      }
    }
  }
  EXPECT_LE(open, c.input.numel() / 200);
  EXPECT_GT(open, 0);
}

TEST(NormRopeInterval, HasBothNeighboursOfATie) {
  // The mean of the squares is 1, so the factor is 1 within its error. 1.5 * 1.0078125 = 1.51171875 is halfway between
  // 1.5078125 and 1.515625.
  NormRopeCall c;
  for (std::int64_t d = 0; d < 512; ++d) {
    set_float(c.input, d, d >= 5 && d < 448 ? 1.0f : 0.0f);
  }
  for (const std::int64_t d : {0, 1, 448, 450}) set_float(c.input, d, 1.5f);  // 4 * 2.25 = 9
  for (std::int64_t d = 452; d < 512; ++d) set_float(c.input, d, 1.0f);       // 443 + 60 = 503
  for (const std::int64_t d : {0, 448, 450}) c.weight.at<std::uint16_t>(d) = bf16_from_float(1.0078125f);
  c.freqs.at<float>(0, 3) = 1.0f;  // the second pair is multiplied by 1 + i
  NormRopeCall low = c, high = c;
  call_reference("norm_rope", "forward_interval",
                 {&c.input, &c.weight, &c.positions, &c.freqs, c.mode, c.eps, c.ratio, &low.input, &high.input});
  for (const std::int64_t d : {0, 448, 450, 451}) {
    EXPECT_EQ(low.at(0, d), 1.5078125f) << d;
    EXPECT_EQ(high.at(0, d), 1.515625f) << d;
  }
  EXPECT_EQ(low.at(0, 1), 1.5f);
  EXPECT_EQ(high.at(0, 1), 1.5f);
}

TEST(NormRopeReference, RefusesWrongArguments) {
  const auto message = [&](const std::function<void(NormRopeCall&)>& change) {
    NormRopeCall c;
    change(c);
    return refusal("norm_rope", "forward", {&c.input, &c.weight, &c.positions, &c.freqs, c.mode, c.eps, c.ratio});
  };
  EXPECT_THAT(message([](NormRopeCall& c) {
                c.input = HostTensor::make(DType::kBF16, {1, 256});
              }),
              HasSubstr("'input': expected size 512"));
  EXPECT_THAT(message([](NormRopeCall& c) { c.weight = HostTensor::make(DType::kF32, {512}); }),
              HasSubstr("'weight': expected bfloat16"));
  EXPECT_THAT(message([](NormRopeCall& c) { c.positions = HostTensor::make(DType::kI64, {2}); }),
              HasSubstr("'positions': expected at most 1 elements"));
  EXPECT_THAT(message([](NormRopeCall& c) { c.positions = HostTensor::make(DType::kI32, {1}); }),
              HasSubstr("'positions': expected int64"));
  EXPECT_THAT(message([](NormRopeCall& c) { c.mode = 1; }), HasSubstr("'mode': expected 2, got 1"));
  EXPECT_THAT(message([](NormRopeCall& c) { c.ratio = 4; }), HasSubstr("'ratio': expected 0, got 4"));
}

}  // namespace
}  // namespace dsv4::testing
