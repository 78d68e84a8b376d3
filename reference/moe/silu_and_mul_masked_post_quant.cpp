/// Reference of silu_and_mul_masked_post_quant, and the intervals of its correct outputs. The op computes
/// silu(gate) * up for the rows of the experts, and quantises the result to E4M3 in groups of 128 elements.
///
/// The op is defined by upstream's kernel alone: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/
/// silu_and_mul_masked_post_quant.cuh, lines 51-73 and 111-205, compiled with -use_fast_math
/// (jit_kernel/dsv4/moe.py:66). Below, "line" means a line of this file. Its exponential and its division are
/// approximations, so two correct implementations may give different codes and scales. `run` computes in double
/// precision. `interval` computes the codes and scales that the documented errors of these approximations allow.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "interface/entry.h"
#include "reference/common/cuda_accuracy.h"
#include "reference/common/measured.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "silu_and_mul_masked_post_quant";
constexpr std::int64_t kGroup = 128;  ///< elements that share a scale (line 116)
constexpr double kSmallestMaximum =
    1e-10f;  ///< lower limit of a group's maximum: the float nearest to 1e-10 (line 176)
constexpr double kSmallestNormal = 0x1p-126;  ///< fast-math arithmetic may flush smaller magnitudes to zero
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The compile-time parameters of an exported function.
struct Variant {
  bool ue8m0;    ///< scales are powers of two
  bool swizzle;  ///< gate and up columns alternate in chunks of 8
  bool clamp;    ///< swiglu_limit applies
};

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
void clamp(Bf16& gate, Bf16& up, float limit) {
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
bool saturates(double g) { return std::exp(-g) * (1.0 + fast_exp_error(g)) < 0x1p-24; }

/// Returns the greatest relative error of g / (1.0f + __expf(-g)) * u in float (lines 64-67), if silu does not
/// saturate.
///
/// Below, e = exp(-g). The errors are:
/// 1. The exponential gives e (1 + d) with |d| <= fast_exp_error(g). The sum 1 + e then changes by the factor
///    1 + d e / (1 + e). This is nearly all of d for a large negative g, and nearly nothing for a large positive g.
/// 2. The sum is rounded, and so is the product with u: two rounding errors.
/// 3. The division has the error kFastDivisionError.
/// The factor 1 + 2^-15 covers products of these errors. Each is below 2^-16, because |g| < 88.
double relative_error(double g) {
  const double share = 1.0 / (1.0 + std::exp(g));  // e / (1 + e)
  return (fast_exp_error(g) * share + 2.0 * kRoundingError + kFastDivisionError) * (1.0 + 0x1p-15);
}

/// Returns `x`, or an infinity with the sign of `x` if the magnitude of `x` overflows when it is rounded to float.
double overflow(double x) {
  constexpr double kFirstInfinite = 0x1.ffffffp127;  // halfway between the greatest float and 2^128
  return std::fabs(x) >= kFirstInfinite ? std::copysign(kInfinity, x) : x;
}

Activation activate(Bf16 gate, Bf16 up) {
  const double g = to_float(gate);
  const double u = to_float(up);
  // If g = -inf, 1 + exp(-g) is inf, and -inf / inf is NaN.
  if (std::isnan(g) || std::isnan(u) || g == -kInfinity) return {std::nanf(""), 0.0, 0.0};
  const double silu = saturates(g) ? g : g / (1.0 + std::exp(-g));
  // If 1 + exp(-g) is larger than 2^126, __fdividef gives zero (CUDA C++ Programming Guide); other arithmetic does not.
  // Fast-math arithmetic replaces a subnormal number by zero; other arithmetic keeps it. This concerns `u` and silu.
  // Both results are correct, so a zero of the same sign is also allowed.
  const bool reciprocal_flushes = g < -87.33;
  const bool flushes =
      reciprocal_flushes || (std::fabs(silu) < kSmallestNormal * (1.0 + 0x1p-15)) || std::fabs(u) < kSmallestNormal;
  if (flushes && std::isinf(u)) return {std::nanf(""), 0.0, 0.0, /*maybe_infinite=*/silu != 0.0};
  const double value = (reciprocal_flushes ? -0.0 : silu) * u;
  const double exact = silu * u;
  if (std::isnan(exact)) return {std::nanf(""), 0.0, 0.0};
  const double error = saturates(g) ? kReciprocalOfPowerOfTwo.error : relative_error(g);
  double low = overflow(exact * (1.0 - error));
  double high = overflow(exact * (1.0 + error));
  if (flushes) low = std::copysign(0.0, exact);
  if (std::signbit(exact)) std::swap(low, high);
  return {static_cast<float>(value), low, high};
}

// ---------------------------------------------------------------------------------------------------------------------
// One group: its scale, and codes under a given scale

using Group = Eigen::Array<Activation, kGroup, 1>;

/// Returns the exponent byte of the smallest power of two >= a / 448, or 255 if `a` is infinite (lines 180-183).
std::uint8_t exponent_above(double a) {
  if (std::isinf(a)) return 255;
  int b = std::ilogb(a) - 9 + 127;  // at first too small, because 448 * 2^-9 < 1
  while (std::ldexp(kE4m3Max, b - 127) < a) ++b;
  return static_cast<std::uint8_t>(b);
}

/// Returns the code of v for scale s: of v multiplied by the reciprocal of s (lines 187-194). If s is infinite, the
/// reciprocal is zero. Then finite values become zero. Infinite values become NaN, which is stored as the code of 448.
E4m3 code_of(double v, double s) { return pack_e4m3(v * (std::isinf(s) ? 0.0 : 1.0 / s)); }

/// Return the least and the greatest float scale s whose relative distance from a / 448 is at most the error of the
/// division (line 185).
float least_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 - kFastDivisionError);
  const auto nearest = static_cast<float>(bound);
  return nearest < bound ? std::nextafter(nearest, std::numeric_limits<float>::infinity()) : nearest;
}
float greatest_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 + kFastDivisionError);
  const auto nearest = static_cast<float>(bound);
  return nearest > bound ? std::nextafter(nearest, 0.0f) : nearest;
}

// ---------------------------------------------------------------------------------------------------------------------
// The tensors

/// The arguments that `run` and `interval` share. This class checks them and knows their layout.
class Problem {
 public:
  Problem(Variant variant, TensorView input, TensorView masked_m, std::uint32_t topk, bool transposed,
          double swiglu_limit)
      : variant_(variant),
        input_(kOp, "input", input),
        counts_(kOp, "masked_m", masked_m),
        transposed_(transposed),
        limit_(static_cast<float>(swiglu_limit)) {
    input_.expect_contiguous();
    counts_.expect_size(0, experts()).expect_contiguous();
    if (input_.size(2) % (2 * kGroup) != 0) {
      refuse(kOp, "output", "expected a multiple of 128 columns, got " + std::to_string(dim()));
    }
    if (transposed && !variant.ue8m0) {
      refuse(kOp, "transposed", "the transposed layout is supported only with ue8m0 scales");
    }
    if (transposed && groups() % 4 != 0) {
      refuse(kOp, "output",
             "expected a multiple of 512 columns for the transposed layout, got " + std::to_string(dim()));
    }
    budget_ = static_cast<std::uint32_t>(tokens()) * topk;
  }

  [[nodiscard]] std::int64_t experts() const { return input_.size(0); }
  [[nodiscard]] std::int64_t tokens() const { return input_.size(1); }
  [[nodiscard]] std::int64_t dim() const { return input_.size(2) / 2; }
  [[nodiscard]] std::int64_t groups() const { return dim() / kGroup; }
  [[nodiscard]] bool transposed() const { return transposed_; }

  /// Calls visit(expert, token, group, activations of the group) for every group of every row that is processed. The
  /// rows in use are visited expert by expert. Only the first tokens * topk of these rows are processed; the product
  /// has 32 bits.
  template <class Visit>
  void for_each_group(Visit visit) const {
    std::uint32_t left = budget_;
    for (std::int64_t e = 0; e < experts(); ++e) {
      for (std::int64_t t = 0; t < std::min<std::int64_t>(counts_(e), tokens()); ++t) {
        if (left-- == 0) return;
        for (std::int64_t g = 0; g < groups(); ++g) visit(e, t, g, activations(e, t, g));
      }
    }
  }

 private:
  [[nodiscard]] Group activations(std::int64_t e, std::int64_t t, std::int64_t g) const {
    // The row is read as a matrix. Each column of the matrix has a chunk of gates, and then a chunk of as many ups.
    const std::int64_t chunk = variant_.swizzle ? 8 : dim();
    const auto chunks = row_of(input_, e, t).reshaped(2 * chunk, dim() / chunk);
    const auto gates = chunks.topRows(chunk).reshaped().segment(g * kGroup, kGroup);
    const auto ups = chunks.bottomRows(chunk).reshaped().segment(g * kGroup, kGroup);
    return gates.binaryExpr(ups, [&](Bf16 gate, Bf16 up) {
      if (variant_.clamp) clamp(gate, up, limit_);
      return activate(gate, up);
    });
  }

  Variant variant_;
  View<const Bf16, 3> input_;
  View<const std::int32_t, 1> counts_;
  bool transposed_;
  float limit_;
  std::uint32_t budget_ = 0;
};

/// The scales, with the indices (expert, token, group). The tensor has one of two layouts: f32 [E, T, D/128], or i32
/// [E, D/512, T] if transposed. In the transposed layout, byte g mod 4 (little endian) of word [e, g/4, t] is the
/// exponent byte of group g.
class Scales {
 public:
  Scales(const Problem& problem, const char* name, TensorView tensor) {
    if (problem.transposed()) {
      words_.emplace(kOp, name, tensor);
      words_->expect_size(0, problem.experts()).expect_size(1, problem.groups() / 4).expect_size(2, problem.tokens());
      words_->expect_contiguous();
    } else {
      floats_.emplace(kOp, name, tensor);
      floats_->expect_size(0, problem.experts()).expect_size(1, problem.tokens()).expect_size(2, problem.groups());
      floats_->expect_contiguous();
    }
  }

  void set_float(std::int64_t e, std::int64_t t, std::int64_t g, float scale) const { (*floats_)(e, t, g) = scale; }
  void set_exponent(std::int64_t e, std::int64_t t, std::int64_t g, std::uint8_t exponent) const {
    if (floats_) {
      set_float(e, t, g, ue8m0_scale(exponent));
    } else {
      reinterpret_cast<std::uint8_t*>(&(*words_)(e, g / 4, t))[g % 4] = exponent;
    }
  }
  [[nodiscard]] double value(std::int64_t e, std::int64_t t, std::int64_t g) const {
    if (floats_) return (*floats_)(e, t, g);
    const std::uint8_t exponent = reinterpret_cast<const std::uint8_t*>(&(*words_)(e, g / 4, t))[g % 4];
    return exponent == 255 ? kInfinity : std::ldexp(1.0, exponent - 127);
  }

 private:
  std::optional<View<float, 3>> floats_;
  std::optional<View<std::int32_t, 3>> words_;
};

View<E4m3, 3> codes(const Problem& problem, const char* name, TensorView tensor) {
  View<E4m3, 3> view(kOp, name, tensor);
  view.expect_size(0, problem.experts()).expect_size(1, problem.tokens()).expect_size(2, problem.dim());
  return view.expect_contiguous();
}

/// run: computes v = silu(gate) * up for the rows in use, and quantises it in groups of 128. The scale s of a group is
/// computed from its greatest |v|, or from 1e-10 if that is larger. The codes are E4M3(v / s). Rows that are not in
/// use, and their scales, are not changed.
///
/// Without clamping, v is NaN if an input is NaN or if the gate is -inf. The maximum of a group ignores NaN, and NaN is
/// stored as the code of 448. If a group contains an infinite v, its scale is infinity. Then its finite elements become
/// +-0, and its infinite elements become 448.
///
/// @param input         bf16 [E, T, 2D], contiguous. Row: D gates then D ups; swizzled: chunks of 8 gates and 8 ups
/// @param output        e4m3 [E, T, D], contiguous, out; D a multiple of 128
/// @param output_scale  f32 [E, T, D/128] or, transposed (ue8m0 only), i32 [E, D/512, T], contiguous, out
/// @param masked_m      i32 [E], contiguous: number of rows in use per expert, clamped to [0, T]
/// @param topk          at most T * topk rows (32-bit product) are processed
/// @param swiglu_limit  limit of the clamp, rounded to float and then to bfloat16; not used without clamp
void run(Variant variant, TensorView input, TensorView output, TensorView output_scale, TensorView masked_m,
         std::uint32_t topk, bool transposed, double swiglu_limit) {
  const Problem problem(variant, input, masked_m, topk, transposed, swiglu_limit);
  const View<E4m3, 3> code = codes(problem, "output", output);
  const Scales scales(problem, "output_scale", output_scale);
  problem.for_each_group([&](std::int64_t e, std::int64_t t, std::int64_t g, const Group& group) {
    const auto values = group.unaryExpr([](const Activation& v) { return v.value; });
    const double greatest = std::max<double>(kSmallestMaximum, greatest_magnitude(values));
    double scale = 0.0;
    if (variant.ue8m0) {
      const std::uint8_t exponent = exponent_above(greatest);
      scale = ue8m0_scale(exponent);
      scales.set_exponent(e, t, g, exponent);
    } else {
      scale = static_cast<float>(greatest / kE4m3Max);
      scales.set_float(e, t, g, static_cast<float>(scale));
    }
    row_of(code, e, t).segment(g * kGroup, kGroup) = values.unaryExpr([&](float v) { return code_of(v, scale); });
  });
}

/// Computes the intervals of correct outputs: the scales that a kernel may give, and the codes that it may give for its
/// own scales.
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
///
/// @param output_scale  the scales of the implementation under test, in
/// @param output_lo, output_hi              like run's output, out
/// @param output_scale_lo, output_scale_hi  like output_scale, out
/// In all four outputs, rows that are not in use are not changed. The other arguments are those of `run`; `output` is
/// not used.
void interval(Variant variant, TensorView input, TensorView, TensorView output_scale, TensorView masked_m,
              std::uint32_t topk, bool transposed, double swiglu_limit, TensorView output_lo, TensorView output_hi,
              TensorView output_scale_lo, TensorView output_scale_hi) {
  const Problem problem(variant, input, masked_m, topk, transposed, swiglu_limit);
  const View<E4m3, 3> low_code = codes(problem, "output_lo", output_lo);
  const View<E4m3, 3> high_code = codes(problem, "output_hi", output_hi);
  const Scales given(problem, "output_scale", output_scale);
  const Scales low_scale(problem, "output_scale_lo", output_scale_lo);
  const Scales high_scale(problem, "output_scale_hi", output_scale_hi);
  problem.for_each_group([&](std::int64_t e, std::int64_t t, std::int64_t g, const Group& group) {
    const auto lows = group.unaryExpr([](const Activation& v) { return v.least_magnitude(); });
    const auto highs = group.unaryExpr([](const Activation& v) { return v.greatest_magnitude(); });
    const double least = std::max(kSmallestMaximum, lows.maxCoeff());
    const double greatest = std::max(kSmallestMaximum, highs.maxCoeff());
    if (variant.ue8m0) {
      low_scale.set_exponent(e, t, g, exponent_above(least * (1.0 - kByteOfQuotientBy448.error)));
      high_scale.set_exponent(e, t, g, exponent_above(greatest * (1.0 + kByteOfQuotientBy448.error)));
    } else {
      low_scale.set_float(e, t, g, least_scale(least));
      high_scale.set_float(e, t, g, greatest_scale(greatest));
    }
    const double scale = given.value(e, t, g);
    const double slack = variant.ue8m0 ? kReciprocalOfPowerOfTwo.error : kFastDivisionError;
    for (std::int64_t i = 0; i < kGroup; ++i) {
      const Activation& v = group[i];
      E4m3 low = code_of(std::isnan(v.value) ? v.value : v.low * (1.0 + std::copysign(slack, -v.low)), scale);
      E4m3 high = code_of(std::isnan(v.value) ? v.value : v.high * (1.0 + std::copysign(slack, v.high)), scale);
      // An infinity has the code of 448 for both signs. Only an infinity can reverse the order of the codes.
      if (to_double(high) < to_double(low)) std::swap(low, high);
      low_code(e, t, g * kGroup + i) = low;
      high_code(e, t, g * kGroup + i) = high;
    }
  });
}

/// The exported functions differ only in their variant.
template <bool kUe8m0, bool kSwizzle, bool kClamp>
void run_as(TensorView input, TensorView output, TensorView output_scale, TensorView masked_m, std::uint32_t topk,
            bool transposed, double swiglu_limit) {
  run({kUe8m0, kSwizzle, kClamp}, input, output, output_scale, masked_m, topk, transposed, swiglu_limit);
}
template <bool kUe8m0, bool kSwizzle, bool kClamp>
void interval_as(TensorView input, TensorView output, TensorView output_scale, TensorView masked_m, std::uint32_t topk,
                 bool transposed, double swiglu_limit, TensorView output_lo, TensorView output_hi,
                 TensorView output_scale_lo, TensorView output_scale_hi) {
  interval({kUe8m0, kSwizzle, kClamp}, input, output, output_scale, masked_m, topk, transposed, swiglu_limit, output_lo,
           output_hi, output_scale_lo, output_scale_hi);
}

#define DSV4_SILU(NAME, UE8M0, SWIZZLE, CLAMP)                                                             \
  constexpr auto run_##NAME = run_as<UE8M0, SWIZZLE, CLAMP>;                                               \
  constexpr auto interval_##NAME = interval_as<UE8M0, SWIZZLE, CLAMP>;                                     \
  DSV4_ENTRY(run_##NAME, run_##NAME, "silu_and_mul_masked_post_quant", "silu_and_mul_masked_post_quant/1", \
             "group=128;ue8m0=" #UE8M0 ";swizzle=" #SWIZZLE ";clamp=" #CLAMP);                             \
  DSV4_AUX(interval_##NAME, interval_##NAME, "silu_and_mul_masked_post_quant", "interval",                 \
           "group=128;ue8m0=" #UE8M0 ";swizzle=" #SWIZZLE ";clamp=" #CLAMP)

DSV4_SILU(float, 0, 0, 0);
DSV4_SILU(float_clamp, 0, 0, 1);
DSV4_SILU(float_swizzle, 0, 1, 0);
DSV4_SILU(float_swizzle_clamp, 0, 1, 1);
DSV4_SILU(ue8m0, 1, 0, 0);
DSV4_SILU(ue8m0_clamp, 1, 0, 1);
DSV4_SILU(ue8m0_swizzle, 1, 1, 0);
DSV4_SILU(ue8m0_swizzle_clamp, 1, 1, 1);

}  // namespace
}  // namespace dsv4::reference
