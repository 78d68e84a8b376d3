/// Reference of silu_and_mul_contig_post_quant, and the intervals of its correct outputs. The op computes
/// silu(gate) * up for every row of a matrix, and quantises the result to E4M3 in groups of 128 elements.
///
/// The op is defined by upstream's kernel alone: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/
/// silu_and_mul_masked_post_quant.cuh, lines 376-460. reference/moe/swiglu.h computes the groups.
#include <cstdint>
#include <optional>

#include "interface/entry.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/moe/swiglu.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "silu_and_mul_contig_post_quant";
constexpr std::int64_t kGroup = 128;  ///< elements that share a scale (line 381)

/// The arguments that `run` and `interval` share. This class checks them and knows their layout.
class Problem {
 public:
  Problem(const SwigluVariant& variant, TensorView input, bool transposed, double swiglu_limit)
      : variant_(variant),
        input_(kOp, "input", input),
        transposed_(transposed),
        limit_(static_cast<float>(swiglu_limit)) {
    input_.expect_contiguous();
    if (input_.size(1) % (2 * kGroup) != 0) {
      refuse(kOp, "output", "expected a multiple of 128 columns, got " + std::to_string(dim()));
    }
    if (transposed && !variant.ue8m0) {
      refuse(kOp, "transposed", "the transposed layout is supported only with ue8m0 scales");
    }
    if (transposed && groups() % 4 != 0) {
      refuse(kOp, "output",
             "expected a multiple of 512 columns for the transposed layout, got " + std::to_string(dim()));
    }
  }

  [[nodiscard]] std::int64_t rows() const { return input_.size(0); }
  [[nodiscard]] std::int64_t dim() const { return input_.size(1) / 2; }
  [[nodiscard]] std::int64_t groups() const { return dim() / kGroup; }
  [[nodiscard]] bool transposed() const { return transposed_; }

  /// Calls visit(row, group, activations of the group) for every group of every row.
  template <class Visit>
  void for_each_group(Visit visit) const {
    for (std::int64_t r = 0; r < rows(); ++r) {
      for (std::int64_t g = 0; g < groups(); ++g) visit(r, g, activations_of(row_of(input_, r), g, variant_, limit_));
    }
  }

 private:
  SwigluVariant variant_;
  View<const Bf16, 2> input_;
  bool transposed_;
  float limit_;
};

/// The scales, with the indices (row, group): f32 [T, D/128], or i32 [T, D/512] if transposed. In the transposed
/// layout, byte g mod 4 (little endian) of word [t, g/4] is the exponent byte of group g.
class Scales {
 public:
  Scales(const Problem& problem, const char* name, TensorView tensor) {
    if (problem.transposed()) {
      words_.emplace(kOp, name, tensor);
      words_->expect_size(0, problem.rows()).expect_size(1, problem.groups() / 4);
    } else {
      floats_.emplace(kOp, name, tensor);
      floats_->expect_size(0, problem.rows()).expect_size(1, problem.groups()).expect_contiguous();
    }
  }

  /// Throws unless neighbouring rows of a transposed tensor are neighbours in memory, and its columns do not overlap.
  void expect_transposed() const {
    if (!words_) return;
    const std::int64_t rows = words_->size(0);
    if ((rows > 1 && words_->stride(0) != 1) || (words_->size(1) > 1 && words_->stride(1) < rows)) {
      refuse(kOp, "output_scale",
             "expected strides 1 and at least " + std::to_string(rows) + " for the transposed layout, got " +
                 std::to_string(words_->stride(0)) + " and " + std::to_string(words_->stride(1)));
    }
  }

  [[nodiscard]] ScalePlace at(std::int64_t r, std::int64_t g) const {
    if (floats_) return {.number = &(*floats_)(r, g)};
    return {.exponent = reinterpret_cast<std::uint8_t*>(&(*words_)(r, g / 4)) + g % 4};
  }

 private:
  std::optional<View<float, 2>> floats_;
  std::optional<View<std::int32_t, 2>> words_;
};

View<E4m3, 2> codes(const Problem& problem, const char* name, TensorView tensor) {
  View<E4m3, 2> view(kOp, name, tensor);
  view.expect_size(0, problem.rows()).expect_size(1, problem.dim());
  return view.expect_contiguous();
}

/// run: computes v = silu(gate) * up for every row, and quantises it in groups of 128, as
/// silu_and_mul_masked_post_quant does. Elements of the scales' memory that do not belong to the tensor are not
/// changed.
///
/// @param input         bf16 [T, 2D], contiguous. Row: D gates then D ups; swizzled: chunks of 8 gates and 8 ups
/// @param output        e4m3 [T, D], contiguous, out; D a multiple of 128
/// @param output_scale  f32 [T, D/128], contiguous, out; or, transposed (ue8m0 only), i32 [T, D/512] with strides 1 and
///                      at least T
/// @param swiglu_limit  limit of the clamp, rounded to float and then to bfloat16; not used without clamp
void run(const SwigluVariant& variant, TensorView input, TensorView output, TensorView output_scale, bool transposed,
         double swiglu_limit) {
  const Problem problem(variant, input, transposed, swiglu_limit);
  const View<E4m3, 2> code = codes(problem, "output", output);
  const Scales scales(problem, "output_scale", output_scale);
  scales.expect_transposed();
  problem.for_each_group([&](std::int64_t r, std::int64_t g, const Group& group) {
    quantise(group, variant.ue8m0, scales.at(r, g), row_of(code, r).segment(g * kGroup, kGroup));
  });
}

/// Computes the intervals of correct outputs (quantised_interval): the scales that a kernel may give, and the codes
/// that it may give for its own scales.
///
/// @param output_scale  the scales of the implementation under test, in
/// @param output_lo, output_hi              like run's output, out
/// @param output_scale_lo, output_scale_hi  like output_scale with any strides, out
/// The other arguments are those of `run`; `output` is not used.
void interval(const SwigluVariant& variant, TensorView input, TensorView, TensorView output_scale, bool transposed,
              double swiglu_limit, TensorView output_lo, TensorView output_hi, TensorView output_scale_lo,
              TensorView output_scale_hi) {
  const Problem problem(variant, input, transposed, swiglu_limit);
  const View<E4m3, 2> low_code = codes(problem, "output_lo", output_lo);
  const View<E4m3, 2> high_code = codes(problem, "output_hi", output_hi);
  const Scales given(problem, "output_scale", output_scale);
  const Scales low_scale(problem, "output_scale_lo", output_scale_lo);
  const Scales high_scale(problem, "output_scale_hi", output_scale_hi);
  problem.for_each_group([&](std::int64_t r, std::int64_t g, const Group& group) {
    quantised_interval(group, variant.ue8m0, given.at(r, g), low_scale.at(r, g), high_scale.at(r, g),
                       row_of(low_code, r).segment(g * kGroup, kGroup),
                       row_of(high_code, r).segment(g * kGroup, kGroup));
  });
}

/// The exported functions differ only in their variant.
template <bool kUe8m0, bool kSwizzle, bool kClamp>
void run_as(TensorView input, TensorView output, TensorView output_scale, bool transposed, double swiglu_limit) {
  run({kGroup, kUe8m0, kSwizzle, kClamp}, input, output, output_scale, transposed, swiglu_limit);
}
template <bool kUe8m0, bool kSwizzle, bool kClamp>
void interval_as(TensorView input, TensorView output, TensorView output_scale, bool transposed, double swiglu_limit,
                 TensorView output_lo, TensorView output_hi, TensorView output_scale_lo, TensorView output_scale_hi) {
  interval({kGroup, kUe8m0, kSwizzle, kClamp}, input, output, output_scale, transposed, swiglu_limit, output_lo,
           output_hi, output_scale_lo, output_scale_hi);
}

DSV4_SWIGLU_VARIANTS("silu_and_mul_contig_post_quant", "");

}  // namespace
}  // namespace dsv4::reference
