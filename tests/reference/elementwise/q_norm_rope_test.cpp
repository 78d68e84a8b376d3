#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

/// One head of one token. Row 0 of the table does not rotate.
struct QNormRopeCall {
  HostTensor input = HostTensor::make(DType::kBF16, {1, 1, 512});
  HostTensor output = HostTensor::make(DType::kBF16, {1, 1, 512});
  HostTensor freqs = HostTensor::make(DType::kF32, {2, 64});
  HostTensor positions = HostTensor::of<std::int32_t>(DType::kI32, {0});
  double eps = 0.0;

  QNormRopeCall() {
    for (int i = 0; i < 64; i += 2) freqs.at<float>(0, i) = freqs.at<float>(1, i) = 1.0f;
  }
  /// Sets all elements to 0 and then those from `first` on to `values`.
  QNormRopeCall& elements(const std::vector<float>& values, std::int64_t first = 0) {
    input = HostTensor::make(DType::kBF16, {1, 1, 512});
    for (std::size_t i = 0; i < values.size(); ++i) set_float(input, first + static_cast<std::int64_t>(i), values[i]);
    return *this;
  }
  QNormRopeCall& all(float value) { return elements(std::vector<float>(512, value)); }

  std::vector<float> result() {
    call_reference("q_norm_rope", "forward", {&input, &output, &freqs, &positions, eps});
    std::vector<float> values;
    for (std::int64_t i = 0; i < 512; ++i) values.push_back(float_from_bf16(output.get<std::uint16_t>(i)));
    return values;
  }
};

TEST(QNormRopeReference, DividesByTheRootOfTheMeanSquare) {
  QNormRopeCall call;
  EXPECT_THAT(call.all(-4.0f).result(), Each(-1.0f));
  // A single element of 32: the mean of the squares is 1024 / 512 = 2, and 32 / sqrt(2) = 22.627 is nearest to 22.625.
  const std::vector<float> y = call.elements({32.0f}, 100).result();
  EXPECT_EQ(y[100], 22.625f);
  EXPECT_EQ(y[99], 0.0f);
  // Two elements of 24: the mean is 2.25, and 24 / 1.5 = 16.
  EXPECT_EQ(call.elements({24.0f, 24.0f}, 0).result()[1], 16.0f);
}

TEST(QNormRopeReference, AddsEpsToTheMean) {
  QNormRopeCall call;
  call.eps = 3.0;
  EXPECT_THAT(call.all(1.0f).result(), Each(0.5f));
  call.eps = 1e-6;
  EXPECT_THAT(call.all(0x1p-40f).result(), Each(bf16(0x1p-40f / std::sqrt(1e-6f))));
}

TEST(QNormRopeReference, RotatesTheLastElements) {
  QNormRopeCall call;
  // (3 + 4i) and the angle's number 0.5 + 2i give -6.5 + 8i. The last pair begins at element 510. The other elements
  // make the mean of the squares 1.
  call.positions = HostTensor::of<std::int32_t>(DType::kI32, {1});
  call.freqs.at<float>(1, 62) = 0.5f;
  call.freqs.at<float>(1, 63) = 2.0f;
  std::vector<float> x(512, 0.0f);
  const std::vector<float> first{12.0f, 12.0f, 12.0f, 6.0f, 4.0f, 1.0f, 1.0f, 1.0f};
  std::ranges::copy(first, x.begin());
  x[510] = 3.0f;
  x[511] = 4.0f;
  const std::vector<float> y = call.elements(x).result();
  EXPECT_EQ(y[510], -6.5f);
  EXPECT_EQ(y[511], 8.0f);
  EXPECT_EQ(y[3], 6.0f);
}

TEST(QNormRopeReference, RotatesTheRoundedElements) {
  // 32 and 7, divided by sqrt(1073 / 512), are 22.105 and 4.8355. The nearest bfloat16 are 22.125 and 4.84375, and
  // 22.125 - 4 * 4.84375 = 2.75. Without the first rounding the result would be 2.763, which is nearest to 2.765625.
  QNormRopeCall call;
  call.freqs.at<float>(0, 1) = 4.0f;
  EXPECT_EQ(call.elements({32.0f, 7.0f}, 448).result()[448], 2.75f);
}

TEST(QNormRopeReference, HandlesSpecialValues) {
  QNormRopeCall call;
  for (const float y : call.elements({std::nanf("")}, 5).result()) EXPECT_TRUE(std::isnan(y));
  // An infinity makes the factor 0.
  std::vector<float> y = call.all(3.0f).elements({-1.0f, kInf}, 7).result();
  EXPECT_TRUE(std::isnan(y[8]));
  EXPECT_EQ(y[7], 0.0f);
  EXPECT_TRUE(std::signbit(y[7]));
  // The square of 2^64 is 2^128, which is too large for a float. 2^63.5 is not, but 512 such squares are.
  EXPECT_THAT(call.elements({0x1p64f}).result(), Each(0.0f));
  EXPECT_THAT(call.all(0x1p59f).result(), Each(1.0f));
  EXPECT_THAT(call.all(0x1.8p59f).result(), Each(0.0f));
  // A row of zeros is 0 times infinity without eps.
  EXPECT_TRUE(std::isnan(call.all(0.0f).result()[3]));
  call.eps = 1e-6;
  EXPECT_THAT(call.result(), Each(0.0f));
}

TEST(QNormRopeReference, APositionOutsideTheTableDoesNotRotate) {
  QNormRopeCall call;
  for (const std::int64_t position : {std::int64_t{-1}, std::int64_t{2}, std::int64_t{1} << 32}) {
    call.positions = HostTensor::of<std::int64_t>(DType::kI64, {position});
    call.freqs.at<float>(0, 1) = 1.0f;
    EXPECT_THAT(call.all(2.0f).result(), Each(1.0f));
  }
}

/// Several tokens and heads of random elements. The output is a slice of a wider buffer.
struct RandomHeads {
  static constexpr std::int64_t kTokens = 24, kHeads = 3;
  HostTensor input = HostTensor::make(DType::kBF16, {kTokens, kHeads, 512});
  HostTensor output =
      HostTensor::strided(DType::kBF16, {kTokens, kHeads, 512}, {5 * 512, 512, 1}, 512, kTokens * 5 * 512);
  HostTensor freqs = HostTensor::make(DType::kF32, {kTokens, 64});
  HostTensor positions = HostTensor::make(DType::kI64, {kTokens});
  double eps = 1e-6;

  RandomHeads() {
    Random random(3, "q");
    fill_floats(input, [&] { return random.gauss(); });
    fill_floats(freqs, [&] { return 2.0f * random.unit() - 1.0f; });
    for (std::int64_t t = 0; t < kTokens; ++t) positions.at<std::int64_t>(t) = kTokens - 1 - t;
    poison(output);
  }
  void call() { call_reference("q_norm_rope", "forward", {&input, &output, &freqs, &positions, eps}); }

  [[nodiscard]] std::vector<float> row(std::int64_t t, std::int64_t h) const {
    std::vector<float> values;
    for (std::int64_t d = 0; d < 512; ++d) values.push_back(float_from_bf16(input.at<std::uint16_t>(t, h, d)));
    return values;
  }
  [[nodiscard]] std::complex<float> angle(std::int64_t t, std::int64_t pair) const {
    const std::int64_t p = positions.at<std::int64_t>(t);
    return {freqs.at<float>(p, 2 * pair), freqs.at<float>(p, 2 * pair + 1)};
  }
};

TEST(QNormRopeReference, IsTheFormulaWithinItsRoundings) {
  RandomHeads heads;
  const HostTensor before = heads.output;
  heads.call();
  for (std::int64_t t = 0; t < RandomHeads::kTokens; ++t) {
    for (std::int64_t h = 0; h < RandomHeads::kHeads; ++h) {
      const std::vector<float> x = heads.row(t, h);
      double mean = 0.0;
      for (const float value : x) mean += static_cast<double>(value) * value / 512.0;
      const double factor = 1.0 / std::sqrt(mean + heads.eps);
      const auto got = [&](std::int64_t d) {
        return static_cast<double>(float_from_bf16(heads.output.at<std::uint16_t>(t, h, d)));
      };
      for (std::int64_t d = 0; d < 448; ++d) {
        const double want = x[static_cast<std::size_t>(d)] * factor;
        EXPECT_LE(std::fabs(got(d) - want), std::fabs(want) * (0x1p-8 + 0x1p-20)) << d;
      }
      for (std::int64_t d = 448; d < 512; d += 2) {
        const std::complex<double> pair(x[static_cast<std::size_t>(d)], x[static_cast<std::size_t>(d + 1)]);
        const std::complex<double> want = pair * factor * std::complex<double>(heads.angle(t, (d - 448) / 2));
        // Two roundings to bfloat16, and the angle's number is at most sqrt(2).
        const double allowed = std::abs(pair) * factor * std::numbers::sqrt2 * 0x1p-8 * 2.1;
        EXPECT_LE(std::abs(std::complex<double>(got(d), got(d + 1)) - want), allowed) << d;
      }
    }
  }
  // The heads before and after the slice keep their bytes.
  const auto mask = heads.output.view_mask();
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) {
      ASSERT_EQ(heads.output.storage[i], before.storage[i]) << i;
    }
  }
}

TEST(QNormRopeInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  RandomHeads heads;
  heads.call();
  HostTensor low = HostTensor::make(DType::kBF16, heads.input.shape), high = low;
  call_reference("q_norm_rope", "forward_interval",
                 {&heads.input, &heads.output, &heads.freqs, &heads.positions, heads.eps, &low, &high});
  const auto key = [](std::uint16_t bits) { return *order_key(DType::kBF16, reinterpret_cast<std::uint8_t*>(&bits)); };
  std::int64_t open = 0;
  for (std::int64_t t = 0; t < RandomHeads::kTokens; ++t) {
    for (std::int64_t h = 0; h < RandomHeads::kHeads; ++h) {
      const auto expect_inside = [&](std::int64_t d, float value) {
        const std::uint16_t bits = bf16_from_float(value);
        EXPECT_LE(key(low.at<std::uint16_t>(t, h, d)), key(bits)) << t << ' ' << h << ' ' << d;
        EXPECT_GE(key(high.at<std::uint16_t>(t, h, d)), key(bits)) << t << ' ' << h << ' ' << d;
      };
      for (std::int64_t d = 0; d < 512; ++d) {
        expect_inside(d, float_from_bf16(heads.output.at<std::uint16_t>(t, h, d)));
        open += low.at<std::uint16_t>(t, h, d) != high.at<std::uint16_t>(t, h, d) ? 1 : 0;
      }
      const std::vector<float> x = heads.row(t, h);
      for (const float factor : float_factors(x, static_cast<float>(heads.eps))) {
        for (std::int64_t d = 0; d < 448; ++d) expect_inside(d, x[static_cast<std::size_t>(d)] * factor);
        for (std::int64_t d = 448; d < 512; d += 2) {
          const float a = bf16(x[static_cast<std::size_t>(d)] * factor);
          const float b = bf16(x[static_cast<std::size_t>(d + 1)] * factor);
          const std::complex<float> w = heads.angle(t, (d - 448) / 2);
          expect_inside(d, std::fma(a, w.real(), -(b * w.imag())));
          expect_inside(d, a * w.real() - b * w.imag());
          expect_inside(d + 1, std::fma(a, w.imag(), b * w.real()));
          expect_inside(d + 1, std::fma(b, w.real(), a * w.imag()));
        }
      }
    }
  }
  EXPECT_LE(open, heads.input.numel() / 200);
  EXPECT_GT(open, 0);
}

TEST(QNormRopeReference, WithoutEpsTheSquaresOfTinyElementsUnderflow) {
  RandomHeads heads;
  heads.eps = 0.0;
  Random random(4, "subnormal");
  fill_floats(heads.input, [&] { return 0x1p-128f * (1.0f + random.unit()); });
  heads.call();
  for (std::int64_t d = 0; d < 448; ++d)
    EXPECT_EQ(heads.output.at<std::uint16_t>(0, 0, d), 0x7f80) << d;  // infinity, as in float arithmetic
}

TEST(QNormRopeReference, RefusesWrongArguments) {
  QNormRopeCall c;
  const auto message = [&](HostTensor input, HostTensor output, HostTensor freqs, HostTensor positions) {
    return refusal("q_norm_rope", "forward", {&input, &output, &freqs, &positions, 0.0});
  };
  const HostTensor narrow = HostTensor::make(DType::kBF16, {1, 1, 256}),
                   two = HostTensor::make(DType::kBF16, {1, 2, 512});
  EXPECT_THAT(message(narrow, c.output, c.freqs, c.positions), HasSubstr("'q_input': expected size 512"));
  EXPECT_THAT(message(c.input, two, c.freqs, c.positions), HasSubstr("'q_output': expected size 1"));
  EXPECT_THAT(message(c.input, c.output, HostTensor::make(DType::kF32, {2, 32}), c.positions),
              HasSubstr("'freqs_cis': expected size 64"));
  EXPECT_THAT(message(c.input, c.output, c.freqs, HostTensor::make(DType::kI32, {2})),
              HasSubstr("'positions': expected size 1"));
  EXPECT_THAT(message(c.input, c.output, c.freqs, HostTensor::make(DType::kF32, {1})),
              HasSubstr("'positions': expected int32"));
}

}  // namespace
}  // namespace dsv4::testing
