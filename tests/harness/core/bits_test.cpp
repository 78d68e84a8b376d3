/// Compares every code of the small number formats with second implementations, which share no code with bits.cpp.
#include "harness/core/bits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "harness/generate/random.h"

namespace dsv4 {
namespace {

/// Returns the value of a code of a small float format. It is computed from the textbook definition, by repeated
/// doubling or halving.
double spelled_out(unsigned code, int exponent_bits, int mantissa_bits, bool has_infinity) {
  const unsigned sign = code >> (exponent_bits + mantissa_bits);
  const unsigned exponent = (code >> mantissa_bits) % (1u << exponent_bits);
  const unsigned mantissa = code % (1u << mantissa_bits);
  const unsigned top = (1u << exponent_bits) - 1;
  double value;
  if (has_infinity && exponent == top) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (!has_infinity && exponent == top && mantissa == (1u << mantissa_bits) - 1) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    value = (exponent == 0 ? 0.0 : 1.0) + mantissa / static_cast<double>(1u << mantissa_bits);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias;
    for (; power > 0; --power) value *= 2;
    for (; power < 0; ++power) value /= 2;
  }
  return sign != 0 ? -value : value;
}

void expect_same(double got, double want, unsigned code) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << std::hex << code;
  } else {
    EXPECT_EQ(got, want) << std::hex << code;
    EXPECT_EQ(std::signbit(got), std::signbit(want)) << std::hex << code;
  }
}

TEST(Bits, DecodesEveryE4M3Code) {
  for (unsigned c = 0; c < 256; ++c) expect_same(double_from_e4m3(c), spelled_out(c, 4, 3, false), c);
  EXPECT_EQ(double_from_e4m3(0x7e), 448.0);
  EXPECT_EQ(double_from_e4m3(0x01), 0x1p-9);
}

TEST(Bits, DecodesEveryE5M2Code) {
  for (unsigned c = 0; c < 256; ++c) expect_same(double_from_e5m2(c), spelled_out(c, 5, 2, true), c);
  EXPECT_EQ(double_from_e5m2(0x7b), 57344.0);
}

TEST(Bits, DecodesEveryF16Code) {
  for (unsigned c = 0; c < 65536; ++c) expect_same(double_from_f16(c), spelled_out(c, 5, 10, true), c);
}

TEST(Bits, EveryBf16CodeSurvivesWideningAndRounding) {
  for (unsigned c = 0; c < 65536; ++c) {
    const auto code = static_cast<std::uint16_t>(c);
    const float wide = float_from_bf16(code);
    expect_same(wide, spelled_out(c, 8, 7, true), c);
    EXPECT_EQ(bf16_from_float(wide), std::isnan(wide) ? 0x7fff : code) << std::hex << c;
  }
}

/// Returns the nearer of the two bfloat16 neighbours of `x`, or the even one if both are equally near.
std::uint16_t nearest_bf16(float x) {
  const auto down = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);  // the neighbour toward zero
  const auto up = static_cast<std::uint16_t>(down + 1);
  // Infinity is the neighbour above the largest finite number, and is treated as 2^128. A number at or above the
  // midpoint of these two neighbours rounds to infinity.
  const auto value = [](std::uint16_t code) {
    const double v = float_from_bf16(code);
    return std::isinf(v) ? std::copysign(0x1p128, v) : v;
  };
  const double below = std::fabs(x - value(down)), above = std::fabs(value(up) - x);
  if (below != above) return below < above ? down : up;
  return down % 2 == 0 ? down : up;
}

TEST(Bits, Bf16RoundsToNearestEven) {
  Random random(1, "bf16");
  for (int i = 0; i < 200000; ++i) {
    std::uint32_t bits = random.u32();
    if (i % 4 == 0) bits = (bits & 0xffff0000u) | 0x8000u;  // exactly halfway between two neighbours
    if (i % 4 == 1) bits = (bits & 0xffff0000u) | (0x7fffu + static_cast<std::uint32_t>(random.below(3)));
    const auto x = std::bit_cast<float>(bits);
    if (std::isnan(x) || std::isinf(x)) continue;
    ASSERT_EQ(bf16_from_float(x), nearest_bf16(x)) << std::hex << bits;
  }
  EXPECT_EQ(bf16_from_float(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(bf16_from_float(-std::numeric_limits<float>::infinity()), 0xff80);
  EXPECT_EQ(bf16_from_float(-std::numeric_limits<float>::quiet_NaN()), 0x7fff);
  EXPECT_EQ(bf16_from_float(-0.0f), 0x8000);
}

/// Returns the code nearest to `x`, by trying each of the 127 finite magnitudes.
std::uint8_t nearest_e4m3(double x) {
  if (std::isnan(x)) return 0x7f;
  unsigned best = 0;
  for (unsigned c = 1; c <= 0x7e; ++c) {
    const double d = std::fabs(spelled_out(c, 4, 3, false) - std::fabs(x));
    const double b = std::fabs(spelled_out(best, 4, 3, false) - std::fabs(x));
    if (d < b || (d == b && c % 2 == 0)) best = c;
  }
  if (std::isinf(x)) best = 0x7e;
  return static_cast<std::uint8_t>(best | (std::signbit(x) ? 0x80u : 0u));
}

TEST(Bits, E4m3RoundsToNearestEvenAndSaturates) {
  std::vector<double> values{
      0.0,         0x1p-10, 0x1p-11, 448, 456, 463.99, 464, 464.01, 480, 1e30, std::numeric_limits<double>::infinity(),
      std::nan("")};
  for (unsigned c = 0; c < 0x7e; ++c) {
    const double low = spelled_out(c, 4, 3, false), high = spelled_out(c + 1, 4, 3, false), middle = (low + high) / 2;
    values.insert(values.end(), {low, middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e3)});
  }
  Random random(2, "e4m3");
  for (int i = 0; i < 20000; ++i) values.push_back(random.wide(-12, 10));
  for (const double v : values) {
    EXPECT_EQ(e4m3_from_double(v), nearest_e4m3(v)) << v;
    EXPECT_EQ(e4m3_from_double(-v), nearest_e4m3(-v)) << -v;
  }
  for (unsigned c = 0; c < 256; ++c) {
    EXPECT_EQ(e4m3_from_double(double_from_e4m3(c)), (c & 0x7f) == 0x7f ? 0x7f : c);
  }
}

}  // namespace
}  // namespace dsv4
