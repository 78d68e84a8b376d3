/// SwiGLU and the quantisation of its result, which the references of several ops share: silu(gate) * up for gates and
/// ups in bfloat16, and E4M3 codes of groups that share a scale. For each value and each group this file also has what
/// an implementation may compute instead.
///
/// Upstream's kernels alone define it: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/silu_and_mul_masked_post_quant.cuh,
/// lines 51-73 and 161-194, compiled with -use_fast_math (jit_kernel/dsv4/moe.py:66). Below, "line" means a line of
/// this file. The exponential and the division are approximations, so two correct implementations may give different
/// codes and scales.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "interface/entry.h"
#include "reference/common/cuda_accuracy.h"
#include "reference/common/measured.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {

inline constexpr double kSmallestMaximum =
    1e-10f;  ///< lower limit of a group's maximum: the float nearest to 1e-10 (line 176)
inline constexpr double kSmallestNormal = 0x1p-126;  ///< fast-math arithmetic may flush smaller magnitudes to zero
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---------------------------------------------------------------------------------------------------------------------
// One element: silu(gate) * up

/// The values that an implementation may compute for one element.
struct Activation {
  /// The exact value, rounded once to float. If silu saturates, or its reciprocal is flushed to zero, this is the
  /// value that float arithmetic gives.
  float value;
  double low;  ///< the error bound allows `low` to `high`; no meaning if `value` is NaN
  double high;
  bool maybe_infinite = false;  ///< `value` is NaN because of flushing; otherwise it would be infinite

  /// The range of the magnitude that this element may have in the group's maximum. The maximum ignores NaN, so the
  /// magnitude of a NaN counts as 0.
  [[nodiscard]] double least_magnitude() const {
    if (std::isnan(value)) return 0.0;
    return low <= 0.0 && high >= 0.0 ? 0.0 : std::min(std::fabs(low), std::fabs(high));
  }
  [[nodiscard]] double greatest_magnitude() const {
    if (std::isnan(value)) return maybe_infinite ? kInfinity : 0.0;
    return std::max(std::fabs(low), std::fabs(high));
  }
};

/// Clamps gate and up in bfloat16 (lines 56-61). The gate is limited only from above. `up` is first limited from below
/// and then from above. So if `limit` is negative, every `up` becomes `limit`. If one operand of a minimum or maximum
/// is NaN, the result is the other operand.
inline void clamp(Bf16& gate, Bf16& up, float limit) {
  const float high = to_float(to_bf16(limit));
  const float low = to_float(to_bf16(-limit));
  const auto min_number = [](float a, float b) { return -max_number(-a, -b); };
  gate = to_bf16(min_number(to_float(gate), high));
  up = to_bf16(min_number(max_number(to_float(up), low), high));
}

/// True if float arithmetic can give only one result for silu(g). This is the case if 1 + exp(-g) rounds to 1 for every
/// exponential within its documented error. A division by 1 is exact (kReciprocalOfPowerOfTwo), so silu(g) is then g.
/// The product of g and `up` is also exact, because the product of two bfloat16 mantissas fits into a float mantissa.
/// So these values are known without any error. Only they can decide how a value exactly halfway between two codes is
/// rounded, and which byte belongs to a maximum at or next to 448 times a power of two.
inline bool saturates(double g) {
  const double e = std::exp(-g);
  return e == 0.0 || e * (1.0 + fast_exp_error(g)) < 0x1p-24;  // the error has no value if g is infinite
}

/// Returns the greatest relative error of g / (1.0f + __expf(-g)) * u in float (lines 64-67), if silu does not
/// saturate.
///
/// Below, e = exp(-g). The errors are:
/// 1. The exponential gives e (1 + d) with |d| <= fast_exp_error(g). The sum 1 + e then changes by the factor
///    1 + d e / (1 + e). This is nearly all of d for a large negative g, and nearly nothing for a large positive g.
/// 2. The sum is rounded, and so is the product with u: two rounding errors.
/// 3. The division has the error kFastDivisionError.
/// The factor 1 + 2^-15 covers products of these errors. Each is below 2^-16, because |g| < 88.
inline double relative_error(double g) {
  const double share = 1.0 / (1.0 + std::exp(g));  // e / (1 + e)
  return (fast_exp_error(g) * share + 2.0 * kRoundingError + kFastDivisionError) * (1.0 + 0x1p-15);
}

/// Returns `x`, or an infinity with the sign of `x` if the magnitude of `x` overflows when it is rounded to float.
inline double overflow(double x) {
  constexpr double kFirstInfinite = 0x1.ffffffp127;  // halfway between the greatest float and 2^128
  return std::fabs(x) >= kFirstInfinite ? std::copysign(kInfinity, x) : x;
}

/// `product_error`: the relative error of the product g * u, if silu(g) is g.
inline Activation activate(double g, double u, double product_error) {
  // If g = -inf, 1 + exp(-g) is inf, and -inf / inf is NaN.
  if (std::isnan(g) || std::isnan(u) || g == -kInfinity) return {std::nanf(""), 0.0, 0.0};
  const double silu = saturates(g) ? g : g / (1.0 + std::exp(-g));
  // If 1 + exp(-g) is larger than 2^126, __fdividef gives zero (CUDA C++ Programming Guide); other arithmetic does not.
  // Fast-math arithmetic replaces a subnormal number by zero; other arithmetic keeps it. This concerns `u`, silu and
  // their product. Both results are correct, so a zero of the same sign is also allowed.
  const bool reciprocal_flushes = g < -87.33;
  const bool flushes =
      reciprocal_flushes || (std::fabs(silu) < kSmallestNormal * (1.0 + 0x1p-15)) || std::fabs(u) < kSmallestNormal;
  if (flushes && std::isinf(u)) return {std::nanf(""), 0.0, 0.0, /*maybe_infinite=*/silu != 0.0};
  const double value = (reciprocal_flushes ? -0.0 : silu) * u;
  const double exact = silu * u;
  if (std::isnan(exact)) return {std::nanf(""), 0.0, 0.0};
  const double error = saturates(g) ? kReciprocalOfPowerOfTwo.error + product_error : relative_error(g);
  double low = overflow(exact * (1.0 - error));
  double high = overflow(exact * (1.0 + error));
  if (flushes || std::fabs(exact) < kSmallestNormal * (1.0 + 0x1p-15)) low = std::copysign(0.0, exact);
  if (std::signbit(exact)) std::swap(low, high);
  return {static_cast<float>(value), low, high};
}
/// The product of two bfloat16 is exact.
inline Activation activate(Bf16 gate, Bf16 up) { return activate(to_float(gate), to_float(up), 0.0); }

// The other form: sglang 0.5.12, jit_kernel/csrc/deepseek_v4/silu_and_mul_masked_post_quant_tmp.cuh. Release 0.5.13
// does not have this file. Its line numbers are below.

/// Clamps in float and computes silu(gate) * up (lines 136-155). `up` is first limited from above and then from below.
/// So if `limit` is negative, every `up` becomes -`limit`. A NaN `up` becomes the greater of `limit` and -`limit`.
inline Activation activate_clamped_in_float(Bf16 gate, Bf16 up, float limit) {
  const auto min_number = [](float a, float b) { return -max_number(-a, -b); };
  const float g = min_number(to_float(gate), limit);
  const float u = max_number(min_number(to_float(up), limit), -limit);
  return activate(g, u, kRoundingError);
}

/// Computes silu(gate) * up without a clamp (lines 158-167): silu is rounded to bfloat16, and so is the product. Both
/// roundings keep the order of numbers. So the ends of silu's interval give the ends of the product's.
inline Activation activate_rounded(Bf16 gate, Bf16 up) {
  const Activation silu = activate(to_float(gate), 1.0, 0.0);
  const double u = to_float(up);
  const auto times_up = [u](double s) {
    return static_cast<double>(to_float(to_bf16(static_cast<float>(to_float(to_bf16(static_cast<float>(s))) * u))));
  };
  const double value = times_up(silu.value);
  // A silu that may be flushed to zero makes the product with an infinity NaN.
  const bool may_be_zero = silu.low == 0.0 || silu.high == 0.0;
  if (std::isnan(value) || (may_be_zero && std::isinf(u))) {
    return {std::nanf(""), 0.0, 0.0,
            /*maybe_infinite=*/may_be_zero && std::isinf(u) && (silu.low != 0.0 || silu.high != 0.0)};
  }
  double low = std::min(times_up(silu.low), times_up(silu.high));
  double high = std::max(times_up(silu.low), times_up(silu.high));
  if (std::fabs(u) < kSmallestNormal || std::fabs(value) <= kSmallestNormal) {
    low = std::min(low, std::copysign(0.0, value));
    high = std::max(high, std::copysign(0.0, value));
  }
  return {static_cast<float>(value), low, high};
}

// ---------------------------------------------------------------------------------------------------------------------
// A row of gates and ups

/// Which of upstream's two files computes the values.
enum class Form {
  kMain,  ///< clamps in bfloat16; the product is not rounded to bfloat16
  kTmp,   ///< clamps in float; without a clamp, silu and the product are rounded to bfloat16
};

/// The compile-time parameters of an exported function that quantises.
struct SwigluVariant {
  std::int64_t group;  ///< elements that share a scale
  bool ue8m0;          ///< scales are powers of two
  bool swizzle;        ///< gate and up columns alternate in chunks of 8
  bool clamp;          ///< the limit applies
  Form form = Form::kMain;
};

/// The values of the elements that share a scale.
using Group = Eigen::ArrayX<Activation>;

/// Returns the values of group g of a row. The row has all gates and then all ups; if swizzled, it has chunks of 8
/// gates and 8 ups.
inline Group activations_of(const Row<const Bf16>& row, std::int64_t g, const SwigluVariant& variant, float limit) {
  // The row is read as a matrix. Each column of the matrix has a chunk of gates, and then a chunk of as many ups.
  const std::int64_t dim = row.size() / 2;
  const std::int64_t chunk = variant.swizzle ? 8 : dim;
  const auto chunks = row.reshaped(2 * chunk, dim / chunk);
  const auto gates = chunks.topRows(chunk).reshaped().segment(g * variant.group, variant.group);
  const auto ups = chunks.bottomRows(chunk).reshaped().segment(g * variant.group, variant.group);
  return gates.binaryExpr(ups, [&](Bf16 gate, Bf16 up) {
    if (variant.form == Form::kTmp) {
      return variant.clamp ? activate_clamped_in_float(gate, up, limit) : activate_rounded(gate, up);
    }
    if (variant.clamp) clamp(gate, up, limit);
    return activate(gate, up);
  });
}

// ---------------------------------------------------------------------------------------------------------------------
// One group: its scale, and codes under a given scale

/// Returns the exponent byte of the smallest power of two >= a / 448, or 255 if `a` is infinite (lines 180-183).
inline std::uint8_t exponent_above(double a) {
  if (std::isinf(a)) return 255;
  int b = std::ilogb(a) - 9 + 127;  // at first too small, because 448 * 2^-9 < 1
  while (std::ldexp(kE4m3Max, b - 127) < a) ++b;
  return static_cast<std::uint8_t>(b);
}

/// Returns the code of v for scale s: of v multiplied by the reciprocal of s (lines 187-194). If s is infinite, the
/// reciprocal is zero. Then finite values become zero. Infinite values become NaN, which is stored as the code of 448.
inline E4m3 code_of(double v, double s) { return pack_e4m3(v * (std::isinf(s) ? 0.0 : 1.0 / s)); }

/// Return the least and the greatest float scale s whose relative distance from a / 448 is at most the error of the
/// division (line 185).
inline float least_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 - kFastDivisionError);
  const auto nearest = static_cast<float>(bound);
  return nearest < bound ? std::nextafter(nearest, std::numeric_limits<float>::infinity()) : nearest;
}
inline float greatest_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 + kFastDivisionError);
  const auto nearest = static_cast<float>(bound);
  return nearest > bound ? std::nextafter(nearest, 0.0f) : nearest;
}

/// The place of a group's scale in an output: a float, or the exponent byte of a power of two. One pointer is null.
struct ScalePlace {
  float* number = nullptr;
  std::uint8_t* exponent = nullptr;

  void set_float(float scale) const { *number = scale; }
  void set_exponent(std::uint8_t e) const {
    if (number != nullptr) {
      *number = ue8m0_scale(e);
    } else {
      *exponent = e;
    }
  }
  [[nodiscard]] double value() const {
    if (number != nullptr) return *number;
    return *exponent == 255 ? kInfinity : std::ldexp(1.0, *exponent - 127);
  }
};

/// Quantises a group. The scale s is computed from the greatest |v|, or from 1e-10 if that is larger. The codes are
/// E4M3(v / s). `codes` are the group's elements of the output.
template <class Codes>
void quantise(const Group& group, bool ue8m0, ScalePlace place, Codes codes) {
  const auto values = group.unaryExpr([](const Activation& v) { return v.value; });
  const double greatest = std::max<double>(kSmallestMaximum, greatest_magnitude(values));
  double scale = 0.0;
  if (ue8m0) {
    const std::uint8_t exponent = exponent_above(greatest);
    scale = ue8m0_scale(exponent);
    place.set_exponent(exponent);
  } else {
    scale = static_cast<float>(greatest / kE4m3Max);
    place.set_float(static_cast<float>(scale));
  }
  codes = values.unaryExpr([&](float v) { return code_of(v, scale); });
}

/// Computes the intervals of a group's correct outputs: the scales that a kernel may give, and the codes that it may
/// give for its own scale, which is at `given`.
///
/// An implementation computes the value v of an element with a relative error of at most eps (relative_error). So the
/// maximum a of a group is in a known interval. The least allowed exponent byte is that of the interval's low end, and
/// the greatest is that of its high end. The two bytes differ only if 448 times a power of two is in the interval. If
/// silu saturates for the element of the maximum, the interval is one value and there is one byte. That the byte of
/// this value follows exactly is measured (kByteOfQuotientBy448). A float scale must be in the interval divided by 448,
/// apart from the error of that division.
///
/// A code must be between the codes of v (1 - eps') / s and v (1 + eps') / s, where s is the implementation's own
/// scale. If s is a power of two, eps' is eps, because its reciprocal is exact (kReciprocalOfPowerOfTwo). If s is a
/// float scale, eps' is eps + kFastDivisionError. For nearly every element of an output, both codes are equal.
template <class Codes>
void quantised_interval(const Group& group, bool ue8m0, ScalePlace given, ScalePlace low_scale, ScalePlace high_scale,
                        Codes low_codes, Codes high_codes) {
  const auto lows = group.unaryExpr([](const Activation& v) { return v.least_magnitude(); });
  const auto highs = group.unaryExpr([](const Activation& v) { return v.greatest_magnitude(); });
  const double least = std::max(kSmallestMaximum, lows.maxCoeff());
  const double greatest = std::max(kSmallestMaximum, highs.maxCoeff());
  if (ue8m0) {
    low_scale.set_exponent(exponent_above(least * (1.0 - kByteOfQuotientBy448.error)));
    high_scale.set_exponent(exponent_above(greatest * (1.0 + kByteOfQuotientBy448.error)));
  } else {
    low_scale.set_float(least_scale(least));
    high_scale.set_float(greatest_scale(greatest));
  }
  const double scale = given.value();
  const double slack = ue8m0 ? kReciprocalOfPowerOfTwo.error : kFastDivisionError;
  for (std::int64_t i = 0; i < group.size(); ++i) {
    const Activation& v = group[i];
    E4m3 low = code_of(std::isnan(v.value) ? v.value : v.low * (1.0 + std::copysign(slack, -v.low)), scale);
    E4m3 high = code_of(std::isnan(v.value) ? v.value : v.high * (1.0 + std::copysign(slack, v.high)), scale);
    // An infinity has the code of 448 for both signs. Only an infinity can reverse the order of the codes.
    if (to_double(high) < to_double(low)) std::swap(low, high);
    low_codes[i] = low;
    high_codes[i] = high;
  }
}

}  // namespace dsv4::reference

// ---------------------------------------------------------------------------------------------------------------------
// The exported functions

/// Exports run_as<U, S, C> and interval_as<U, S, C> of a file as run_<NAME> and interval_<NAME>, a variant of `OP`.
/// MORE has the parameters that only this op has, such as ";form=main".
#define DSV4_SWIGLU_VARIANT(OP, NAME, UE8M0, SWIZZLE, CLAMP, MORE)                  \
  constexpr auto run_##NAME = run_as<UE8M0, SWIZZLE, CLAMP>;                        \
  constexpr auto interval_##NAME = interval_as<UE8M0, SWIZZLE, CLAMP>;              \
  DSV4_ENTRY(run_##NAME, run_##NAME, OP, OP "/1",                                   \
             "group=128;ue8m0=" #UE8M0 ";swizzle=" #SWIZZLE ";clamp=" #CLAMP MORE); \
  DSV4_AUX(interval_##NAME, interval_##NAME, OP, "interval",                        \
           "group=128;ue8m0=" #UE8M0 ";swizzle=" #SWIZZLE ";clamp=" #CLAMP MORE)
/// Exports the eight variants.
#define DSV4_SWIGLU_VARIANTS(OP, MORE)                         \
  DSV4_SWIGLU_VARIANT(OP, float, 0, 0, 0, MORE);               \
  DSV4_SWIGLU_VARIANT(OP, float_clamp, 0, 0, 1, MORE);         \
  DSV4_SWIGLU_VARIANT(OP, float_swizzle, 0, 1, 0, MORE);       \
  DSV4_SWIGLU_VARIANT(OP, float_swizzle_clamp, 0, 1, 1, MORE); \
  DSV4_SWIGLU_VARIANT(OP, ue8m0, 1, 0, 0, MORE);               \
  DSV4_SWIGLU_VARIANT(OP, ue8m0_clamp, 1, 0, 1, MORE);         \
  DSV4_SWIGLU_VARIANT(OP, ue8m0_swizzle, 1, 1, 0, MORE);       \
  DSV4_SWIGLU_VARIANT(OP, ue8m0_swizzle_clamp, 1, 1, 1, MORE)
