#include "reference/common/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/generate/random.h"

namespace dsv4::reference {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Bf16Format, EveryPatternSurvivesWideningAndRounding) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Bf16 h{static_cast<std::uint16_t>(bits)};
    const bool nan = (bits & 0x7fffu) > 0x7f80u;
    EXPECT_EQ(to_bf16(to_float(h)).bits, nan ? 0x7fffu : bits);
  }
}

TEST(Bf16Format, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(float_of(0x3f800000u)).bits, 0x3f80);
  EXPECT_EQ(to_bf16(float_of(0x3f808000u)).bits, 0x3f80);  // a tie: rounds down to the even code
  EXPECT_EQ(to_bf16(float_of(0x3f808001u)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(float_of(0x3f818000u)).bits, 0x3f82);  // a tie: rounds up to the even code
  EXPECT_EQ(to_bf16(float_of(0x3f817fffu)).bits, 0x3f81);
  EXPECT_EQ(to_bf16(float_of(0x7f7fffffu)).bits, 0x7f80);  // overflows to infinity
  EXPECT_EQ(to_bf16(float_of(0xff7f8000u)).bits, 0xff80);
  EXPECT_EQ(to_bf16(float_of(0x80000001u)).bits, 0x8000);
  EXPECT_EQ(to_bf16(float_of(0x00008001u)).bits, 0x0001);  // a subnormal is not flushed to zero
  EXPECT_EQ(to_bf16(-std::nanf("")).bits, 0x7fff);
}

TEST(E4m3Format, KnownAnswers) {
  const auto code = [](double x) { return static_cast<int>(to_e4m3(x).bits); };
  EXPECT_EQ(code(1.0), 0x38);
  EXPECT_EQ(code(-1.0), 0xb8);
  EXPECT_EQ(code(224.0), 0x76);
  EXPECT_EQ(code(240.0), 0x77);
  EXPECT_EQ(code(256.0), 0x78);
  EXPECT_EQ(code(448.0), 0x7e);
  EXPECT_EQ(code(464.0), 0x7e);
  EXPECT_EQ(code(kInf), 0x7e);
  EXPECT_EQ(code(-kInf), 0xfe);
  EXPECT_EQ(code(0x1p-6), 0x08);
  EXPECT_EQ(code(0x1p-9), 0x01);
  EXPECT_EQ(code(0x1p-10), 0x00);  // a tie: rounds to the even code
  EXPECT_EQ(code(0x1.000002p-10), 0x01);
  EXPECT_EQ(code(-1e-9), 0x80);
  EXPECT_EQ(code(-0.0), 0x80);
  EXPECT_EQ(code(std::nan("")), 0x7f);
  EXPECT_EQ(pack_e4m3(std::nan("")).bits, 0x7e);
}

TEST(E4m3Format, EveryCodeSurvivesDecodingAndRounding) {
  for (int bits = 0; bits < 256; ++bits) {
    const E4m3 code{static_cast<std::uint8_t>(bits)};
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(to_double(code)));
    } else {
      EXPECT_EQ(to_e4m3(to_double(code)).bits, bits);
    }
  }
}

/// Converts like to_e4m3(), but by integer arithmetic on the bits of a float. The result has three fraction bits; the
/// fourth one decides the rounding, half to even.
std::uint8_t e4m3_by_bits(float x) {
  const std::uint32_t u = bits_of(x);
  const std::uint32_t sign = (u >> 24) & 0x80u;
  const std::uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7f;
  if (magnitude >= 0x43e00000u) return static_cast<std::uint8_t>(sign | 0x7eu);  // 448 and more: saturates
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  if (exponent < -6) {
    // The sum has the exponent of 2^14, so its last fraction bit is worth 2^-9. That is the step between these codes,
    // so the addition rounds to a code.
    const float shifted = float_of(magnitude) + 0x1p14f;
    return static_cast<std::uint8_t>(sign | (bits_of(shifted) - bits_of(0x1p14f)));
  }
  std::uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  rounded -= (127u - 7u) << 23;
  return static_cast<std::uint8_t>(sign | std::min(rounded >> 20, 0x7eu));
}

TEST(E4m3Format, AgreesWithAnIndependentFormulation) {
  const auto check = [](float x) {
    EXPECT_EQ(to_e4m3(x).bits, e4m3_by_bits(x)) << std::hexfloat << x;
    EXPECT_EQ(to_e4m3(-x).bits, e4m3_by_bits(-x)) << std::hexfloat << x;
  };
  for (std::uint32_t h = 0; h <= 0x7f80; ++h) check(float_of(h << 16));  // every bfloat16 from 0 to infinity
  for (int code = 0; code < 0x7e; ++code) {  // every midpoint of two codes, and the two floats next to it
    const auto middle = static_cast<float>(
        (to_double(E4m3{static_cast<std::uint8_t>(code)}) + to_double(E4m3{static_cast<std::uint8_t>(code + 1)})) / 2);
    for (const float x : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, kInf)}) check(x);
  }
  Random random(1, "e4m3");
  for (int i = 0; i < 200000; ++i) check(std::fabs(random.wide(-12, 10)));
}

TEST(Ue8m0Format, KnownAnswers) {
  EXPECT_EQ(ue8m0_above(1.0f), 127);
  EXPECT_EQ(ue8m0_above(std::nextafter(1.0f, 2.0f)), 128);
  EXPECT_EQ(ue8m0_above(0.75f), 127);
  EXPECT_EQ(ue8m0_above(448.0f / 448.0f), 127);
  EXPECT_EQ(ue8m0_above(450.0f / 448.0f), 128);
  EXPECT_EQ(ue8m0_above(1e-4f / 448.0f), 105);
  EXPECT_EQ(ue8m0_above(1e-4f / 6.0f), 112);
  EXPECT_EQ(ue8m0_above(1.0f / 448.0f), 119);
  EXPECT_EQ(ue8m0_above(kInf), 255);
}

// The definition: the smallest of the powers 2^-126 ... 2^127 that is at least x; 255 if none is.
TEST(Ue8m0Format, IsTheSmallestPowerOfTwoThatIsLargeEnough) {
  const auto by_search = [](float x) {
    for (int b = 1; b <= 254; ++b) {
      if (std::ldexp(1.0, b - 127) >= x) return b;
    }
    return 255;
  };
  for (int exponent = -149; exponent <= 127; ++exponent) {
    const float power = std::ldexp(1.0f, exponent);
    for (const float x : {power, std::nextafter(power, kInf), 1.5f * power, std::nextafter(2.0f * power, 0.0f)}) {
      EXPECT_EQ(ue8m0_above(x), by_search(x)) << std::hexfloat << x;
    }
  }
  EXPECT_EQ(ue8m0_above(std::numeric_limits<float>::max()), 255);
}

TEST(Ue8m0Format, ScaleAndInverseArePowersOfTwoBetweenTheEnds) {
  double power = 0x1p-126;  // the scale of byte 1
  for (int b = 1; b <= 254; ++b, power *= 2.0) {
    const auto byte = static_cast<std::uint8_t>(b);
    EXPECT_EQ(ue8m0_scale(byte), power) << b;
    if (b < 254) {
      EXPECT_EQ(ue8m0_inverse(byte), 1.0 / power) << b;
    }
  }
  EXPECT_EQ(ue8m0_inverse(0), 0x1p127f);
}

// At the ends, the results are those of upstream's arithmetic on bits (sglang 0.5.13, fp8_utils.cuh:30-32, and
// silu_and_mul_masked_post_quant.cuh:183).
TEST(Ue8m0Format, EndsAreThoseOfUpstreamsArithmeticOnBits) {
  for (std::uint32_t b = 0; b < 256; ++b) {
    const auto byte = static_cast<std::uint8_t>(b);
    EXPECT_EQ(bits_of(ue8m0_scale(byte)), b << 23);
    EXPECT_EQ(bits_of(ue8m0_inverse(byte)), (127u + 127u - b) << 23);
  }
  EXPECT_EQ(ue8m0_scale(0), 0.0f);
  EXPECT_EQ(ue8m0_scale(255), kInf);
  EXPECT_EQ(ue8m0_inverse(254), 0.0f);
  EXPECT_EQ(ue8m0_inverse(255), -kInf);
}

TEST(MaxNumber, NumbersAreTakenInPlaceOfAnyNan) {
  const float signalling = float_of(0x7f800001u);
  for (const float nan : {std::nanf(""), signalling, -signalling}) {
    EXPECT_EQ(max_number(nan, 1.0f), 1.0f);
    EXPECT_EQ(max_number(-1.0f, nan), -1.0f);
  }
  EXPECT_TRUE(std::isnan(max_number(signalling, signalling)));
  EXPECT_EQ(max_number(2.0f, 3.0f), 3.0f);
  EXPECT_EQ(max_number(3.0f, 2.0f), 3.0f);
}

}  // namespace
}  // namespace dsv4::reference
