#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <complex>
#include <map>
#include <string>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

struct Rope {
  HostTensor q = HostTensor::make(DType::kBF16, {1, 1, 64});
  HostTensor freqs = HostTensor::make(DType::kF32, {2, 64});
  HostTensor positions = HostTensor::of<std::int32_t>(DType::kI32, {1});
  bool inverse = false;

  /// Returns the result for one pair and one angle, as the bits of two bfloat16 numbers.
  std::pair<int, int> pair(float re, float im, float cos, float sin) {
    q.at<std::uint16_t>(0, 0, 10) = bf16_from_float(re);
    q.at<std::uint16_t>(0, 0, 11) = bf16_from_float(im);
    freqs.at<float>(1, 10) = cos;
    freqs.at<float>(1, 11) = sin;
    call_reference("fused_rope", "forward", {&q, nullptr, &freqs, &positions, inverse});
    return {q.at<std::uint16_t>(0, 0, 10), q.at<std::uint16_t>(0, 0, 11)};
  }
  std::pair<float, float> values(float re, float im, float cos, float sin) {
    const auto [a, b] = pair(re, im, cos, sin);
    return {float_from_bf16(static_cast<std::uint16_t>(a)), float_from_bf16(static_cast<std::uint16_t>(b))};
  }
};

TEST(FusedRopeReference, MultipliesByTheAngleOrItsConjugate) {
  Rope rope;
  // (3 + 4i)(0.5 + 2i) = -6.5 + 8i
  EXPECT_EQ(rope.values(3, 4, 0.5f, 2.0f), (std::pair{-6.5f, 8.0f}));
  rope.inverse = true;
  // (3 + 4i)(0.5 - 2i) = 9.5 - 4i
  EXPECT_EQ(rope.values(3, 4, 0.5f, 2.0f), (std::pair{9.5f, -4.0f}));
}

TEST(FusedRopeReference, TurnsByQuarters) {
  // Turning by a quarter (cos 0, sin 1) sends 1 to i, i to -1, -1 to -i and -i to 1. The inverse turns back.
  Rope rope;
  const std::vector<std::pair<float, float>> corners{{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const auto& [re, im] = corners[i];
    rope.inverse = false;
    EXPECT_EQ(rope.values(re, im, 0.0f, 1.0f), corners[(i + 1) % 4]);
    rope.inverse = true;
    EXPECT_EQ(rope.values(re, im, 0.0f, 1.0f), corners[(i + 3) % 4]);
  }
}

/// Pairs and angles: all combinations of some edges, and random ones. Half of the random ones nearly cancel in one part
/// of the product.
std::vector<std::array<float, 4>> pairs_and_angles() {
  std::vector<std::array<float, 4>> list;
  const std::vector<float> elements{0.0f, -0.0f, 1.0f, -1.0078125f, 3.0f, 0x1p-126f, -0x1p-133f, 0x1.fep127f, -0x1p60f};
  const std::vector<float> angles{0.0f,         -0.0f,          1.0f,   -1.0f,    0.70710678f,
                                  -0.70710678f, 0x1.000002p-1f, 1e-10f, 0x1p-149f};
  for (const float a : elements) {
    for (const float b : elements) {
      for (const float c : angles) {
        for (const float d : angles) list.push_back({a, b, c, d});
      }
    }
  }
  Random random(7, "rope");
  const auto element = [&] { return float_from_bf16(bf16_from_float(random.wide(-20, 20))); };
  for (int i = 0; i < 20000; ++i) {
    const float a = element(), b = element(), d = random.wide(-12, 0);
    const float c = i % 2 == 0 ? random.wide(-12, 0) : static_cast<float>(static_cast<double>(b) * d / a);
    list.push_back({a, b, c, d});
  }
  return list;
}

// The product by std::complex, in double. A part of the result may differ from it by three roundings: of one of its two
// products to float, of their sum to float, and of the sum to bfloat16. Results too small for a normal number have an
// absolute error instead.
TEST(FusedRopeReference, IsTheComplexProductWithinItsRoundingErrors) {
  for (const bool inverse : {false, true}) {
    Rope rope;
    rope.inverse = inverse;
    int compared = 0;
    for (const auto& pair_and_angle : pairs_and_angles()) {
      const auto a = std::get<0>(pair_and_angle), b = std::get<1>(pair_and_angle);
      const auto c = std::get<2>(pair_and_angle), d = std::get<3>(pair_and_angle);
      const std::complex<double> x(a, b), angle(c, d);
      const std::complex<double> want = x * (inverse ? std::conj(angle) : angle);
      const auto got = rope.values(a, b, c, d);
      const auto check = [&](float part, double exact, double first, double second) {
        const double product = 0x1p-24 * std::max(std::fabs(first), std::fabs(second)) + 0x1p-150;
        const double sum = std::fabs(exact) + product;
        if (sum > 0x1p127) return;  // the product or the sum may overflow
        EXPECT_LE(std::fabs(part - exact), product + sum * (0x1p-24 + 0x1p-8 * (1.0 + 0x1p-20)) + 0x1p-134)
            << a << " " << b << " " << c << " " << d << (inverse ? " inverse" : "");
        ++compared;
      };
      check(got.first, want.real(), static_cast<double>(a) * c, static_cast<double>(b) * d);
      check(got.second, want.imag(), static_cast<double>(a) * d, static_cast<double>(b) * c);
    }
    EXPECT_GT(compared, 40000);
  }
}

// The same bits as the hardware's fused multiply-add gives: of upstream's two products, the left one is exact.
TEST(FusedRopeReference, HasTheBitsOfAFusedMultiplyAdd) {
  Rope rope;
  for (const auto& [a, b, c, d] : pairs_and_angles()) {
    rope.inverse = false;
    ASSERT_EQ(rope.pair(a, b, c, d),
              (std::pair<int, int>{bf16_from_float(std::fma(a, c, -(b * d))), bf16_from_float(std::fma(a, d, b * c))}));
    rope.inverse = true;
    ASSERT_EQ(rope.pair(a, b, c, d),
              (std::pair<int, int>{bf16_from_float(std::fma(a, c, b * d)), bf16_from_float(std::fma(b, c, -(a * d)))}));
  }
}

TEST(FusedRopeReference, RoundsOneProductOnly) {
  // c equals s, so c * x - s * x is zero in exact arithmetic. The reference rounds only the product s * x before the
  // fused multiply-add. So the result is the rounding error of s * x.
  Rope rope;
  const float c = 0x1.000002p0f;
  const float s = 0x1.000002p0f;
  const float x = 1.0078125f;
  const float expected = std::fma(c, x, -(s * x));  // the rounding error of s * x
  ASSERT_NE(expected, 0.0f);
  EXPECT_EQ(rope.pair(x, x, c, s).first, bf16_from_float(expected));
}

TEST(FusedRopeReference, RoundsTheSumOnce) {
  // 3 * 5614251 = 2^24 + 2^16 + 1, so the left product is 1 + 2^-8 + 2^-24. It is halfway between two floats, and the
  // lower one is halfway between 1 and the next bfloat16. The right product, 2^-60, lifts the sum above both halves. A
  // sum in double would lose it, and round down twice.
  Rope rope;
  EXPECT_EQ(rope.pair(3.0f, -1.0f, std::ldexp(5614251.0f, -24), 0x1p-60f).first, 0x3f81);
  EXPECT_EQ(rope.pair(3.0f, 1.0f, std::ldexp(5614251.0f, -24), 0x1p-60f).first, 0x3f80);
}

TEST(FusedRopeReference, HandlesSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  Rope rope;
  EXPECT_EQ(rope.pair(-std::nanf(""), 1.0f, 1.0f, 0.0f).first, 0x7fff);
  EXPECT_EQ(rope.pair(kInf, 1.0f, 1.0f, 0.0f), (std::pair{0x7f80, 0x7fff}));  // 0 * inf is NaN
  EXPECT_EQ(rope.pair(3.0e38f, 3.0e38f, 1.0f, 1.0f).second, 0x7f80);          // overflows to infinity
  EXPECT_EQ(rope.pair(0x1p-133f, 0.0f, 1.0f, 0.0f).first, 0x0001);            // a subnormal is not flushed to zero
  EXPECT_EQ(rope.pair(-0.0f, 0.0f, 1.0f, 0.0f).first, 0x8000);
}

TEST(FusedRopeReference, PositionZeroOfATableWithoutRotationIsTheIdentity) {
  Rope rope;
  rope.positions.at<std::int32_t>(0) = 0;
  for (int i = 0; i < 64; i += 2) rope.freqs.at<float>(0, i) = 1.0f;
  Random random(1, "q");
  fill_floats(rope.q, [&] { return random.gauss(); });
  const auto before = rope.q.storage;
  call_reference("fused_rope", "forward", {&rope.q, nullptr, &rope.freqs, &rope.positions, false});
  EXPECT_EQ(rope.q.storage, before);
}

TEST(FusedRopeReference, RotatesKeysAndStridedQueriesByTheirOwnPositions) {
  HostTensor q = HostTensor::strided(DType::kBF16, {3, 2, 64}, {2 * 512, 512, 1}, 448, 3 * 2 * 512);
  HostTensor k = HostTensor::make(DType::kBF16, {3, 1, 64});
  poison(q);
  HostTensor before = q;
  HostTensor freqs = HostTensor::make(DType::kF32, {4, 64});
  for (int p = 0; p < 4; ++p) {
    for (int i = 0; i < 64; i += 2) freqs.at<float>(p, i) = static_cast<float>(p);  // no rotation, only a factor of p
  }
  for (int t = 0; t < 3; ++t) {
    for (int d = 0; d < 64; ++d) {
      for (int h = 0; h < 2; ++h) {
        q.at<std::uint16_t>(t, h, d) = before.at<std::uint16_t>(t, h, d) = bf16_from_float(static_cast<float>(d + h));
      }
      k.at<std::uint16_t>(t, 0, d) = bf16_from_float(1.0f);
    }
  }
  HostTensor positions = HostTensor::of<std::int64_t>(DType::kI64, {3, 0, 2});
  call_reference("fused_rope", "forward", {&q, &k, &freqs, &positions, false});
  for (int t = 0; t < 3; ++t) {
    const auto factor = static_cast<float>(positions.at<std::int64_t>(t));
    for (int d = 0; d < 64; ++d) {
      EXPECT_EQ(float_from_bf16(k.at<std::uint16_t>(t, 0, d)), factor);
      for (int h = 0; h < 2; ++h) {
        EXPECT_EQ(float_from_bf16(q.at<std::uint16_t>(t, h, d)), static_cast<float>(d + h) * factor);
        q.at<std::uint16_t>(t, h, d) = before.at<std::uint16_t>(t, h, d);
      }
    }
  }
  EXPECT_EQ(q.storage, before.storage);  // the heads were restored above, so this compares the memory between them
}

TEST(FusedRopeInterval, ContainsTheReferenceAndIsOneValueNearlyEverywhere) {
  constexpr std::int64_t kTokens = 400;
  HostTensor q = HostTensor::make(DType::kBF16, {kTokens, 2, 64});
  HostTensor low = q, high = q;
  HostTensor freqs = HostTensor::make(DType::kF32, {kTokens, 64});
  HostTensor positions = HostTensor::make(DType::kI32, {kTokens});
  for (std::int32_t t = 0; t < kTokens; ++t) positions.at<std::int32_t>(t) = t;
  Random random(2, "q");
  fill_floats(q, [&] { return random.gauss(); });
  fill_floats(freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  for (const bool inverse : {false, true}) {
    HostTensor x = q;
    call_reference("fused_rope", "forward_interval",
                   {&q, nullptr, &freqs, &positions, inverse, &low, &high, nullptr, nullptr});
    call_reference("fused_rope", "forward", {&x, nullptr, &freqs, &positions, inverse});
    std::int64_t open = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const auto at = [i](const HostTensor& t) { return *order_key(t.dtype, t.element(i)); };
      EXPECT_LE(at(low), at(x));
      EXPECT_LE(at(x), at(high));
      open += at(low) != at(high) ? 1 : 0;
    }
    EXPECT_LE(open, x.numel() / 2000);
  }
}

TEST(FusedRopeReference, RefusesWrongArguments) {
  Rope r;
  const auto message = [&](HostTensor q, HostTensor positions) {
    return refusal("fused_rope", "forward", {&q, nullptr, &r.freqs, &positions, false});
  };
  EXPECT_THAT(message(HostTensor::make(DType::kF16, {1, 1, 64}), r.positions), HasSubstr("'q': expected bfloat16"));
  EXPECT_THAT(message(HostTensor::make(DType::kBF16, {1, 1, 32}), r.positions), HasSubstr("'q': expected size 64"));
  EXPECT_THAT(message(r.q, HostTensor::make(DType::kI32, {2})), HasSubstr("'positions': expected size 1"));
  EXPECT_THAT(message(r.q, HostTensor::make(DType::kF32, {1})), HasSubstr("'positions': expected int32"));
}

TEST(FusedRopeInterval, RefusalsNameTheArgument) {
  Rope r;
  const std::vector<std::string> names{"q", "k", "q_lo", "q_hi", "k_lo", "k_hi"};
  for (const std::string& wrong : names) {
    std::map<std::string, HostTensor> tensors;
    for (const std::string& name : names) {
      tensors[name] = HostTensor::make(name == wrong ? DType::kF16 : DType::kBF16, {1, 1, 64});
    }
    EXPECT_THAT(refusal("fused_rope", "forward_interval",
                        {&tensors["q"], &tensors["k"], &r.freqs, &r.positions, false, &tensors["q_lo"],
                         &tensors["q_hi"], &tensors["k_lo"], &tensors["k_hi"]}),
                HasSubstr("fused_rope: argument '" + wrong + "': expected bfloat16"));
  }
}

}  // namespace
}  // namespace dsv4::testing
