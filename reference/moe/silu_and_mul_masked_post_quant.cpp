/// Reference of silu_and_mul_masked_post_quant, and the intervals with which it is compared. The op computes the gated
/// activation of the experts' rows, and quantises it to E4M3 in groups of 128.
///
/// The kernels compute silu with approximate exponentials and reciprocals, so neither codes nor scales are
/// reproducible to the bit. `run` computes in double precision. `interval` says which codes and scales the kernels'
/// error bound allows.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "silu_and_mul_masked_post_quant";
constexpr std::int64_t kGroup = 128;          ///< elements that share a scale
constexpr double kSmallestMaximum = 1e-10f;   ///< floor of a group's greatest magnitude, the float nearest to 1e-10
constexpr double kSmallestNormal = 0x1p-126;  ///< below it the kernels may flush a float to zero
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The compile-time parameters of an entry.
struct Variant {
  bool ue8m0;    ///< scales are powers of two
  bool swizzle;  ///< gate and up columns alternate in chunks of 8
  bool clamp;    ///< swiglu_limit applies
};

// ---------------------------------------------------------------------------------------------------------------------
// One element: silu(gate) * up

/// The values that the kernels may compute for one element.
struct Activation {
  float value;  ///< the exact value or, if silu saturates, that of float arithmetic; rounded once
  double low;   ///< `low` to `high`: the values that the error bound allows; no meaning if `value` is NaN
  double high;
  bool maybe_infinite = false;  ///< `value` is NaN, but without flushing it would be infinite

  /// Range of the magnitude in the group's maximum, which ignores NaN.
  [[nodiscard]] double least_magnitude() const {
    if (std::isnan(value)) return 0.0;
    return low <= 0.0 && high >= 0.0 ? 0.0 : std::min(std::fabs(low), std::fabs(high));
  }
  [[nodiscard]] double greatest_magnitude() const {
    if (std::isnan(value)) return maybe_infinite ? kInfinity : 0.0;
    return std::max(std::fabs(low), std::fabs(high));
  }
};

/// Clamps a pair as the kernels do, in bfloat16: the gate only from above, `up` from below and then from above. So a
/// negative limit makes every `up` the limit. If one operand is NaN, a minimum or maximum gives the other one.
void clamp(Bf16& gate, Bf16& up, float limit) {
  const float high = to_float(to_bf16(limit));
  const float low = to_float(to_bf16(-limit));
  const auto min_number = [](float a, float b) { return -max_number(-a, -b); };
  gate = to_bf16(min_number(to_float(gate), high));
  up = to_bf16(min_number(max_number(to_float(up), low), high));
}

/// True if float arithmetic allows one result only: 1 + exp(-g) rounds to 1 for every approximation of the exponential,
/// and the reciprocal of 1 is 1. Then silu(g) is g, and its product with `up` is exact as well, because the product of
/// two bfloat16 mantissas fits into a float mantissa. Only there lie the values that distinguish two ways of rounding:
/// ties between codes, and maxima of 448 times a power of two.
bool saturates(double g) { return std::exp(-g) * (1.0 + 0x1p-16) < 0x1p-24; }

/// Relative error of the kernels' silu(g) * u in float, if silu does not saturate. The exponential and the reciprocal
/// are approximations, and the argument g * log2(e) is rounded. The exponential amplifies that rounding by |g| where
/// it matters (negative g). The coefficients are measured: the bound is 1.1 to 2 times the errors of all bfloat16
/// gates on an H200.
double relative_error(double g) { return 0x1p-22 * std::sqrt(2.0) + std::exp2(-23.5) * std::max(0.0, -g) + 0x1p-24; }

/// Rounds the magnitude of a bound to infinity if the float product overflows.
double overflow(double x) {
  constexpr double kFirstInfinite = 0x1.ffffffp127;  // halfway between the greatest float and 2^128
  return std::fabs(x) >= kFirstInfinite ? std::copysign(kInfinity, x) : x;
}

Activation activate(Bf16 gate, Bf16 up) {
  const double g = to_float(gate);
  const double u = to_float(up);
  // If g = -inf, exp(-g) is inf and its reciprocal is 0. The kernels multiply -inf by this 0, which gives NaN.
  if (std::isnan(g) || std::isnan(u) || g == -kInfinity) return {std::nanf(""), 0.0, 0.0};
  const double silu = saturates(g) ? g : g / (1.0 + std::exp(-g));
  // If 1 + exp(-g) is beyond 2^126, its reciprocal is subnormal. Fast-math arithmetic makes it zero, and exact
  // arithmetic keeps it. The same holds for a subnormal operand or silu. Both are correct, so zero (of the same sign)
  // is allowed too.
  const bool reciprocal_flushes = g < -87.33;
  const bool flushes =
      reciprocal_flushes || (std::fabs(silu) < kSmallestNormal * (1.0 + 0x1p-18)) || std::fabs(u) < kSmallestNormal;
  if (flushes && std::isinf(u)) return {std::nanf(""), 0.0, 0.0, /*maybe_infinite=*/silu != 0.0};
  const double value = (reciprocal_flushes ? -0.0 : silu) * u;
  const double exact = silu * u;
  if (std::isnan(exact)) return {std::nanf(""), 0.0, 0.0};
  const double error = saturates(g) ? 0.0 : relative_error(g);
  double low = overflow(exact * (1.0 - error));
  double high = overflow(exact * (1.0 + error));
  if (flushes) low = std::copysign(0.0, exact);
  if (std::signbit(exact)) std::swap(low, high);
  return {static_cast<float>(value), low, high};
}

// ---------------------------------------------------------------------------------------------------------------------
// One group: its scale, and codes under a given scale

using Group = Eigen::Array<Activation, kGroup, 1>;

/// Exponent byte of the least power of two not below a / 448; 255 for infinity.
std::uint8_t exponent_above(double a) {
  if (std::isinf(a)) return 255;
  int b = std::ilogb(a) - 9 + 127;  // 448 * 2^-9 is less than 1
  while (std::ldexp(kE4m3Max, b - 127) < a) ++b;
  return static_cast<std::uint8_t>(b);
}

/// Code of v under scale s. The kernels multiply by the reciprocal of s, which is zero if s is infinite. Then finite
/// values become zero, and infinite values become NaN, which is stored as 448.
E4m3 code_of(double v, double s) { return pack_e4m3(v * (std::isinf(s) ? 0.0 : 1.0 / s)); }

/// Least and greatest float scale within |s - a/448| <= 2^-22 a/448. The bound allows a product with the rounded 1/448.
float least_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 - 0x1p-22);
  const auto nearest = static_cast<float>(bound);
  return nearest < bound ? std::nextafter(nearest, std::numeric_limits<float>::infinity()) : nearest;
}
float greatest_scale(double a) {
  const double bound = a / kE4m3Max * (1.0 + 0x1p-22);
  const auto nearest = static_cast<float>(bound);
  return nearest > bound ? std::nextafter(nearest, 0.0f) : nearest;
}

// ---------------------------------------------------------------------------------------------------------------------
// The tensors

/// The arguments that both functions share, their checks, and their layout.
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
    if (input_.size(2) % 512 != 0 || dim() > 8192) {
      refuse(kOp, "output", "expected a multiple of 256 columns, at most 8192, got " + std::to_string(dim()));
    }
    const std::int64_t most = std::min<std::int64_t>(256, dim() / 8);
    if (experts() > most) {
      refuse(kOp, "masked_m",
             "expected at most " + std::to_string(most) + " experts, got " + std::to_string(experts()));
    }
    if (transposed && !variant.ue8m0) {
      refuse(kOp, "transposed", "the transposed layout is supported only with ue8m0 scales");
    }
    if (transposed && groups() % 4 != 0) {
      refuse(kOp, "output",
             "expected a multiple of 512 columns for the transposed layout, got " + std::to_string(dim()));
    }
    for (std::int64_t e = 0; e < experts(); ++e) {
      if (counts_(e) < 0 || counts_(e) > tokens()) {
        refuse(kOp, "masked_m",
               "expected counts in [0, " + std::to_string(tokens()) + "], got " + std::to_string(counts_(e)));
      }
    }
    budget_ = static_cast<std::uint32_t>(tokens()) * topk;
  }

  [[nodiscard]] std::int64_t experts() const { return input_.size(0); }
  [[nodiscard]] std::int64_t tokens() const { return input_.size(1); }
  [[nodiscard]] std::int64_t dim() const { return input_.size(2) / 2; }
  [[nodiscard]] std::int64_t groups() const { return dim() / kGroup; }
  [[nodiscard]] bool transposed() const { return transposed_; }

  /// Calls visit(expert, token, group, activations of the group) for every row that is processed. Rows below the counts
  /// are taken expert by expert. After tokens * topk of them (a 32-bit product), the others are dropped.
  template <class Visit>
  void for_each_group(Visit visit) const {
    std::uint32_t left = budget_;
    for (std::int64_t e = 0; e < experts(); ++e) {
      for (std::int64_t t = 0; t < counts_(e); ++t) {
        if (left-- == 0) return;
        for (std::int64_t g = 0; g < groups(); ++g) visit(e, t, g, activations(e, t, g));
      }
    }
  }

 private:
  [[nodiscard]] Group activations(std::int64_t e, std::int64_t t, std::int64_t g) const {
    // The row as a matrix: each column is a chunk of gates, followed by a chunk of as many ups.
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

/// Scales by (expert, token, group), in either layout: f32 [E, T, D/128] or, transposed, i32 [E, D/512, T]. Transposed,
/// byte g mod 4 (little endian) of word [e, g/4, t] is the exponent byte of group g.
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

/// run: computes v = silu(gate) * up for the rows in use, and quantises it in groups of 128. The scale s follows
/// from the group's greatest |v| (at least 1e-10), and the codes are E4M3(v / s). Rows not in use, and their scales,
/// are not changed.
///
/// Without clamping, a NaN input makes v NaN; silu(-inf) is NaN too. The maximum ignores NaN, and NaN has code 448. A
/// group that contains an infinity has scale infinity: finite elements become +-0, and infinite ones 448.
///
/// @param input         bf16 [E, T, 2D], contiguous. Row: D gates then D ups; swizzled: chunks of 8 gates and 8 ups
/// @param output        e4m3 [E, T, D], contiguous, out; D a multiple of 256, at most 8192, at least 8 E
/// @param output_scale  f32 [E, T, D/128] or, transposed (ue8m0 only), i32 [E, D/512, T], contiguous, out
/// @param masked_m      i32 [E], contiguous: rows in use per expert, in [0, T]; other counts are undefined
/// @param topk          at most T * topk rows (32-bit product) are processed
/// @param swiglu_limit  clamp, rounded to float and then to bfloat16; ignored by entries without clamp
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

/// Computes the correct outputs: which scales a kernel may give, and which codes it may give under its own scales.
///
/// An element's value v is known to a relative error eps (activate), so a group's maximum a lies in a known interval.
/// An exponent byte must be that of one of the interval's ends, or between them; they differ only at powers of two. A
/// float scale must lie within 2^-22, relative, of the interval over 448.
///
/// A code must lie between those of v (1 - eps') / s and v (1 + eps') / s, where s is the kernel's own scale. eps' is
/// eps for powers of two, and eps + 2^-22 for float scales (a reciprocal and a product). low = high for nearly every
/// element of an output.
///
/// @param output_scale  the scales of the kernel under test, in
/// @param output_lo, output_hi              like run's output, out
/// @param output_scale_lo, output_scale_hi  like output_scale, out
/// In all four outputs, rows not in use are not changed. The other arguments are run's; `output` is not used.
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
      low_scale.set_exponent(e, t, g, exponent_above(least));
      high_scale.set_exponent(e, t, g, exponent_above(greatest));
    } else {
      low_scale.set_float(e, t, g, least_scale(least));
      high_scale.set_float(e, t, g, greatest_scale(greatest));
    }
    const double scale = given.value(e, t, g);
    const double slack = variant.ue8m0 ? 0.0 : 0x1p-22;
    for (std::int64_t i = 0; i < kGroup; ++i) {
      const Activation& v = group[i];
      E4m3 low = code_of(std::isnan(v.value) ? v.value : v.low * (1.0 + std::copysign(slack, -v.low)), scale);
      E4m3 high = code_of(std::isnan(v.value) ? v.value : v.high * (1.0 + std::copysign(slack, v.high)), scale);
      // Only an infinity can reverse the order, because its code is 448 for both signs.
      if (to_double(high) < to_double(low)) std::swap(low, high);
      low_code(e, t, g * kGroup + i) = low;
      high_code(e, t, g * kGroup + i) = high;
    }
  });
}

/// Entries differ only in their variant.
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
