/// Reference of silu_and_mul_masked_post_quant, and the intervals of its correct outputs. The op computes
/// silu(gate) * up for the rows of the experts, and quantises the result to E4M3 in groups of 128 elements.
///
/// The op is defined by upstream's kernel alone: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/
/// silu_and_mul_masked_post_quant.cuh, lines 111-205. reference/moe/swiglu.h computes the groups. `run` computes in
/// double precision. `interval` computes the codes and scales that the documented errors allow.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "interface/entry.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/moe/swiglu.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "silu_and_mul_masked_post_quant";
constexpr std::int64_t kGroup = 128;  ///< elements that share a scale (line 116)

/// The arguments that `run` and `interval` share. This class checks them and knows their layout.
class Problem {
 public:
  Problem(SwigluVariant variant, TensorView input, TensorView masked_m, std::uint32_t topk, bool transposed,
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
        for (std::int64_t g = 0; g < groups(); ++g)
          visit(e, t, g, activations_of(row_of(input_, e, t), g, variant_, limit_));
      }
    }
  }

 private:
  SwigluVariant variant_;
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

  [[nodiscard]] ScalePlace at(std::int64_t e, std::int64_t t, std::int64_t g) const {
    if (floats_) return {.number = &(*floats_)(e, t, g)};
    return {.exponent = reinterpret_cast<std::uint8_t*>(&(*words_)(e, g / 4, t)) + g % 4};
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
/// The form "tmp" (swiglu.h) clamps in float. Without a clamp, it rounds silu and v to bfloat16.
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
void run(const SwigluVariant& variant, TensorView input, TensorView output, TensorView output_scale,
         TensorView masked_m, std::uint32_t topk, bool transposed, double swiglu_limit) {
  const Problem problem(variant, input, masked_m, topk, transposed, swiglu_limit);
  const View<E4m3, 3> code = codes(problem, "output", output);
  const Scales scales(problem, "output_scale", output_scale);
  problem.for_each_group([&](std::int64_t e, std::int64_t t, std::int64_t g, const Group& group) {
    quantise(group, variant.ue8m0, scales.at(e, t, g), row_of(code, e, t).segment(g * kGroup, kGroup));
  });
}

/// Computes the intervals of correct outputs (quantised_interval): the scales that a kernel may give, and the codes
/// that it may give for its own scales.
///
/// @param output_scale  the scales of the implementation under test, in
/// @param output_lo, output_hi              like run's output, out
/// @param output_scale_lo, output_scale_hi  like output_scale, out
/// In all four outputs, rows that are not in use are not changed. The other arguments are those of `run`; `output` is
/// not used.
void interval(const SwigluVariant& variant, TensorView input, TensorView, TensorView output_scale, TensorView masked_m,
              std::uint32_t topk, bool transposed, double swiglu_limit, TensorView output_lo, TensorView output_hi,
              TensorView output_scale_lo, TensorView output_scale_hi) {
  const Problem problem(variant, input, masked_m, topk, transposed, swiglu_limit);
  const View<E4m3, 3> low_code = codes(problem, "output_lo", output_lo);
  const View<E4m3, 3> high_code = codes(problem, "output_hi", output_hi);
  const Scales given(problem, "output_scale", output_scale);
  const Scales low_scale(problem, "output_scale_lo", output_scale_lo);
  const Scales high_scale(problem, "output_scale_hi", output_scale_hi);
  problem.for_each_group([&](std::int64_t e, std::int64_t t, std::int64_t g, const Group& group) {
    quantised_interval(group, variant.ue8m0, given.at(e, t, g), low_scale.at(e, t, g), high_scale.at(e, t, g),
                       row_of(low_code, e, t).segment(g * kGroup, kGroup),
                       row_of(high_code, e, t).segment(g * kGroup, kGroup));
  });
}

/// The exported functions differ only in their variant.
template <bool kUe8m0, bool kSwizzle, bool kClamp, Form kForm = Form::kMain>
void run_as(TensorView input, TensorView output, TensorView output_scale, TensorView masked_m, std::uint32_t topk,
            bool transposed, double swiglu_limit) {
  run({kGroup, kUe8m0, kSwizzle, kClamp, kForm}, input, output, output_scale, masked_m, topk, transposed, swiglu_limit);
}
template <bool kUe8m0, bool kSwizzle, bool kClamp, Form kForm = Form::kMain>
void interval_as(TensorView input, TensorView output, TensorView output_scale, TensorView masked_m, std::uint32_t topk,
                 bool transposed, double swiglu_limit, TensorView output_lo, TensorView output_hi,
                 TensorView output_scale_lo, TensorView output_scale_hi) {
  interval({kGroup, kUe8m0, kSwizzle, kClamp, kForm}, input, output, output_scale, masked_m, topk, transposed,
           swiglu_limit, output_lo, output_hi, output_scale_lo, output_scale_hi);
}

DSV4_SWIGLU_VARIANTS("silu_and_mul_masked_post_quant", ";form=main");

/// The same for the other form, which has no swizzled variants.
#define DSV4_TMP_VARIANT(NAME, UE8M0, CLAMP)                                                               \
  constexpr auto run_##NAME = run_as<UE8M0, false, CLAMP, Form::kTmp>;                                     \
  constexpr auto interval_##NAME = interval_as<UE8M0, false, CLAMP, Form::kTmp>;                           \
  DSV4_ENTRY(run_##NAME, run_##NAME, "silu_and_mul_masked_post_quant", "silu_and_mul_masked_post_quant/1", \
             "group=128;ue8m0=" #UE8M0 ";swizzle=0;clamp=" #CLAMP ";form=tmp");                            \
  DSV4_AUX(interval_##NAME, interval_##NAME, "silu_and_mul_masked_post_quant", "interval",                 \
           "group=128;ue8m0=" #UE8M0 ";swizzle=0;clamp=" #CLAMP ";form=tmp")
DSV4_TMP_VARIANT(float_tmp, 0, 0);
DSV4_TMP_VARIANT(float_clamp_tmp, 0, 1);
DSV4_TMP_VARIANT(ue8m0_tmp, 1, 0);
DSV4_TMP_VARIANT(ue8m0_clamp_tmp, 1, 1);

}  // namespace
}  // namespace dsv4::reference
