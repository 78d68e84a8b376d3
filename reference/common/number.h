/// Number formats of the ops, from their definitions: bfloat16, E4M3 and UE8M0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "reference/common/view.h"

namespace dsv4::reference {

inline std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// This conversion is exact.
inline float to_float(Bf16 h) { return float_of(static_cast<std::uint32_t>(h.bits) << 16); }

/// Nearest bfloat16, ties to even, overflow to infinity; every NaN becomes 0x7fff.
inline Bf16 to_bf16(float x) {
  const std::uint32_t u = bits_of(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  const std::uint32_t below = u & 0xffffu;  // the bits that are dropped
  std::uint32_t kept = u >> 16;
  if (below > 0x8000u || (below == 0x8000u && (kept & 1u) != 0)) ++kept;  // a carry into the exponent is correct too
  return {static_cast<std::uint16_t>(kept)};
}

inline constexpr double kE4m3Max = 448.0;  ///< code 0x7e

/// Exact value of a code; NaN for 0x7f and 0xff. E4M3 has a sign, 4 exponent bits of bias 7, 3 mantissa bits,
/// and no infinity.
inline double to_double(E4m3 code) {
  const int exponent = (code.bits >> 3) & 15;
  const int mantissa = code.bits & 7;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code.bits & 0x80) != 0 ? -magnitude : magnitude;
}

/// The magnitudes of codes 0x00 ... 0x7e; they grow with the code.
inline const std::array<double, 127>& e4m3_magnitudes() {
  static const std::array<double, 127> table = [] {
    std::array<double, 127> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_double(E4m3{static_cast<std::uint8_t>(i)});
    return values;
  }();
  return table;
}

/// Nearest E4M3 code; ties go to the even code. Values saturate at +-448, and zero keeps its sign. NaN gives 0x7f.
inline E4m3 to_e4m3(double x) {
  if (std::isnan(x)) return {0x7f};
  const unsigned sign = std::signbit(x) ? 0x80u : 0u;
  const double magnitude = std::fabs(x);
  const auto& values = e4m3_magnitudes();
  // The neighbours of x: the last code that is not above it, and the next.
  const auto next = std::upper_bound(values.begin(), values.end(), magnitude);
  if (next == values.end()) return {static_cast<std::uint8_t>(sign | 0x7eu)};
  const auto above = static_cast<unsigned>(next - values.begin());  // at least 1: the first value is 0
  const double from_below = magnitude - values[above - 1];
  const double to_above = values[above] - magnitude;
  const bool up = to_above < from_below || (to_above == from_below && above % 2 == 0);
  return {static_cast<std::uint8_t>(sign | (up ? above : above - 1))};
}

/// The code that the kernels store for a scaled value. They clip it to +-448 with a minimum and a maximum that return
/// the operand that is a number, so NaN becomes +448 (code 0x7e). Then they convert it like to_e4m3.
inline E4m3 pack_e4m3(double x) { return std::isnan(x) ? E4m3{0x7e} : to_e4m3(x); }

/// Exponent byte b of the smallest power of two 2^(b-127) that is not below the positive float `x`; 255 for infinity.
inline std::uint8_t ue8m0_above(float x) {
  const std::uint32_t u = bits_of(x);
  return static_cast<std::uint8_t>(((u >> 23) & 0xffu) + ((u & 0x7fffffu) != 0 ? 1 : 0));
}

/// 2^(b-127) as the kernels form it, by placing the byte in the exponent field: infinity for 255, 0 for 0.
inline float ue8m0_scale(std::uint8_t b) { return float_of(static_cast<std::uint32_t>(b) << 23); }

/// 2^(127-b) as the kernels form it, by integer arithmetic on the exponent field. For b = 255 (a group that holds an
/// infinity) the field wraps and the result is minus infinity. The kernels do this, so it is the specification.
inline float ue8m0_inverse(std::uint8_t b) { return float_of((254u - b) << 23); }

/// The larger operand. If one is NaN, signalling or not, the result is the other. std::fmax cannot be used instead: it
/// returns NaN for a signalling NaN, and about half of all bfloat16 NaNs become signalling when they are widened.
inline float max_number(float a, float b) { return std::isnan(a) ? b : (std::isnan(b) ? a : (a < b ? b : a)); }

}  // namespace dsv4::reference
