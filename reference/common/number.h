/// The number formats of the ops, implemented from their definitions: bfloat16, E4M3 and UE8M0.
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

/// Widens a bfloat16 value to float. The conversion is exact.
inline float to_float(Bf16 h) { return float_of(static_cast<std::uint32_t>(h.bits) << 16); }

/// Returns the nearest bfloat16. Ties go to even. A value that is too large becomes infinity, and every NaN
/// becomes 0x7fff.
inline Bf16 to_bf16(float x) {
  const std::uint32_t u = bits_of(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  const std::uint32_t below = u & 0xffffu;  // the bits that are dropped
  std::uint32_t kept = u >> 16;
  // A carry into the exponent field also gives the right value.
  if (below > 0x8000u || (below == 0x8000u && (kept & 1u) != 0)) ++kept;
  return {static_cast<std::uint16_t>(kept)};
}

inline constexpr double kE4m3Max = 448.0;  ///< the largest E4M3 value; its code is 0x7e

/// Returns the exact value of a code, or NaN for 0x7f and 0xff. E4M3 has a sign bit, 4 exponent bits with bias 7, and 3
/// mantissa bits. It has no infinity.
inline double to_double(E4m3 code) {
  const int exponent = (code.bits >> 3) & 15;
  const int mantissa = code.bits & 7;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code.bits & 0x80) != 0 ? -magnitude : magnitude;
}

/// Returns the values of the codes 0x00 ... 0x7e, which are in ascending order.
inline const std::array<double, 127>& e4m3_magnitudes() {
  static const std::array<double, 127> table = [] {
    std::array<double, 127> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_double(E4m3{static_cast<std::uint8_t>(i)});
    return values;
  }();
  return table;
}

/// Returns the nearest E4M3 code. Ties go to the even code. A value beyond +-448 becomes +-448, and zero keeps its
/// sign. NaN becomes 0x7f.
inline E4m3 to_e4m3(double x) {
  if (std::isnan(x)) return {0x7f};
  const unsigned sign = std::signbit(x) ? 0x80u : 0u;
  const double magnitude = std::fabs(x);
  const auto& values = e4m3_magnitudes();
  // The magnitude is between two neighbouring values: `next[-1]`, which is at most the magnitude, and `next[0]`.
  const auto next = std::upper_bound(values.begin(), values.end(), magnitude);
  if (next == values.end()) return {static_cast<std::uint8_t>(sign | 0x7eu)};
  const auto above = static_cast<unsigned>(next - values.begin());  // at least 1, because the first value is 0
  const double from_below = magnitude - values[above - 1];
  const double to_above = values[above] - magnitude;
  const bool up = to_above < from_below || (to_above == from_below && above % 2 == 0);
  return {static_cast<std::uint8_t>(sign | (up ? above : above - 1))};
}

/// Returns the code that the kernels store for a scaled value. They first clip the value to +-448 with a minimum and a
/// maximum. If one operand of these functions is NaN, the result is the other operand. So NaN becomes +448, which has
/// code 0x7e. Then the kernels convert the value like to_e4m3.
inline E4m3 pack_e4m3(double x) { return std::isnan(x) ? E4m3{0x7e} : to_e4m3(x); }

/// Returns the byte b for which 2^(b-127) is the smallest power of two >= the positive float `x`. For infinity, b
/// is 255.
inline std::uint8_t ue8m0_above(float x) {
  const std::uint32_t u = bits_of(x);
  return static_cast<std::uint8_t>(((u >> 23) & 0xffu) + ((u & 0x7fffffu) != 0 ? 1 : 0));
}

/// Returns 2^(b-127). Like the kernels, it puts the byte into the exponent field of a float. So the result is infinity
/// for byte 255, and 0 for byte 0.
inline float ue8m0_scale(std::uint8_t b) { return float_of(static_cast<std::uint32_t>(b) << 23); }

/// Returns 2^(127-b). Like the kernels, it computes the exponent field of a float with integer arithmetic. For b = 255
/// (a group with an infinity), the field wraps around and the result is minus infinity. The kernels give this result,
/// so it is the specified one.
inline float ue8m0_inverse(std::uint8_t b) { return float_of((254u - b) << 23); }

/// Returns the larger operand. If one operand is NaN, signalling or quiet, the result is the other operand. std::fmax
/// cannot be used instead, because it returns NaN for a signalling NaN. About half of all bfloat16 NaNs become
/// signalling NaNs when they are widened to float.
inline float max_number(float a, float b) { return std::isnan(a) ? b : (std::isnan(b) ? a : (a < b ? b : a)); }

}  // namespace dsv4::reference
