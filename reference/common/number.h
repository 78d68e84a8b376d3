/// The number formats of the ops, implemented from their definitions: bfloat16, E4M3 and UE8M0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reference/common/view.h"

namespace dsv4::reference {

inline std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// Returns the smallest float >= `x`.
inline float float_above(double x) {
  const auto nearest = static_cast<float>(x);
  return nearest < x ? std::nextafter(nearest, HUGE_VALF) : nearest;
}

/// Widens a bfloat16 value to float. The conversion is exact.
inline float to_float(Bf16 h) { return float_of(static_cast<std::uint32_t>(h.bits) << 16); }

/// Returns the nearest bfloat16. Ties go to even. A value that is too large becomes infinity, and every NaN becomes
/// 0x7fff (CUDART_NAN_BF16 in cuda_bf16.h). Kernels leave this to a conversion of the hardware.
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

/// Returns the code of a scaled value that is clipped to +-448 before its conversion. The clip is a minimum and a
/// maximum. If one operand of these functions is NaN, the result is the other operand. So NaN becomes +448, which has
/// code 0x7e. (sglang 0.5.13, jit_kernel/include/sgl_kernel/deepseek_v4/fp8_utils.cuh:36-44.)
inline E4m3 pack_e4m3(double x) { return std::isnan(x) ? E4m3{0x7e} : to_e4m3(x); }

// A UE8M0 byte b stands for the scale 2^(b-127). The two ends of the range are special: 2^-127 is not a normal float,
// and 2^128 is not a finite one. What happens there is upstream's choice; the functions name the source.

/// Returns the byte of the smallest power of two that is a normal float and at least `x`. `x` is positive. The byte is
/// 255 for infinity, and for finite values above 2^127. (sglang 0.5.13, fp8_utils.cuh:22-27: the exponent field of a
/// float, plus 1 if the mantissa is not 0.)
inline std::uint8_t ue8m0_above(float x) {
  if (std::isinf(x)) return 255;
  int exponent = 0;
  const float fraction = std::frexp(x, &exponent);  // x = fraction 2^exponent, with 1/2 <= fraction < 1
  const int power = fraction == 0.5f ? exponent - 1 : exponent;
  return static_cast<std::uint8_t>(std::max(power, -126) + 127);
}

/// Returns 2^(b-127). For byte 0 it is 0, and for byte 255 infinity. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/silu_and_mul_masked_post_quant.cuh:183 makes the byte the exponent field of a float. The
/// field 0 stands for 0, and the field 255 for infinity.)
inline float ue8m0_scale(std::uint8_t b) {
  if (b == 0) return 0.0f;
  if (b == 255) return std::numeric_limits<float>::infinity();
  return std::ldexp(1.0f, b - 127);
}

/// Returns 2^(127-b). For byte 254 it is 0. For byte 255, the byte of a group with an infinity, it is minus infinity.
/// (sglang 0.5.13, fp8_utils.cuh:30-32 shifts 254 - b into the exponent field of a float. For 254 the field is 0. For
/// 255 the difference is -1, whose bits fill the exponent field and the sign.)
inline float ue8m0_inverse(std::uint8_t b) {
  if (b == 254) return 0.0f;
  if (b == 255) return -std::numeric_limits<float>::infinity();
  return std::ldexp(1.0f, 127 - b);
}

/// Returns the larger operand. If one operand is NaN, signalling or quiet, the result is the other operand. CUDA
/// defines fmaxf so (CUDA Math API, fmaxf), and fminf and the bfloat16 forms __hmin2 and __hmax2 alike. std::fmax
/// cannot be used instead, because it returns NaN for a signalling NaN. About half of all bfloat16 NaNs become
/// signalling NaNs when they are widened to float.
inline float max_number(float a, float b) { return std::isnan(a) ? b : (std::isnan(b) ? a : (a < b ? b : a)); }

}  // namespace dsv4::reference
