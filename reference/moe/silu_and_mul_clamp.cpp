/// Reference of silu_and_mul_clamp, and the intervals of its correct outputs: silu(gate) * up, with both clamped,
/// rounded to bfloat16. reference/moe/swiglu.h computes the values.
///
/// Upstream's kernel alone defines the op: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/
/// silu_and_mul_masked_post_quant.cuh, lines 213-238.
#include <cmath>
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/moe/swiglu.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "silu_and_mul_clamp";

/// Checks the arguments, and calls visit(row, column, value) for each element of the output.
template <class Visit>
void for_each_value(TensorView input, const View<Bf16, 2>& output, double swiglu_limit, Visit visit) {
  const View<const Bf16, 2> pairs(kOp, "input", input);
  const std::int64_t rows = output.size(0), dim = output.size(1);
  pairs.expect_size(0, rows).expect_contiguous();
  if (pairs.size(1) != 2 * dim) {
    refuse(kOp, "input",
           "expected " + std::to_string(2 * dim) + " columns, two for each column of 'output', got " +
               std::to_string(pairs.size(1)));
  }
  output.expect_contiguous();
  if (dim % 8 != 0) refuse(kOp, "output", "expected a multiple of 8 columns, got " + std::to_string(dim));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t j = 0; j < dim; ++j) {
      Bf16 gate = pairs(r, j);
      Bf16 up = pairs(r, dim + j);
      clamp(gate, up, static_cast<float>(swiglu_limit));
      visit(r, j, activate(gate, up));
    }
  }
}

/// run: computes v = silu(gate) * up in float, and rounds it to bfloat16. The clamp always applies. It removes every
/// NaN and infinity, except a gate of -inf, for which v is NaN.
///
/// @param input         bf16 [T, 2D], contiguous: a row has D gates and then D ups; D a multiple of 8
/// @param output        bf16 [T, D], contiguous, out
/// @param swiglu_limit  limit of the clamp, rounded to float and then to bfloat16
void run(TensorView input, TensorView output, double swiglu_limit) {
  const View<Bf16, 2> out(kOp, "output", output);
  for_each_value(input, out, swiglu_limit,
                 [&](std::int64_t r, std::int64_t j, const Activation& v) { out(r, j) = to_bf16(v.value); });
}

/// Computes the intervals of correct outputs. An implementation computes v with an error of at most eps
/// (relative_error). Rounding does not change the order of numbers. So its result is between the bfloat16 nearest to
/// v (1 - eps) and the one nearest to v (1 + eps). For nearly every element, both are equal.
///
/// @param output_lo, output_hi  like run's output, out
void interval(TensorView input, TensorView, double swiglu_limit, TensorView output_lo, TensorView output_hi) {
  const View<Bf16, 2> low(kOp, "output_lo", output_lo);
  const View<Bf16, 2> high(kOp, "output_hi", output_hi);
  for_each_value(input, low, swiglu_limit, [&](std::int64_t r, std::int64_t j, const Activation& v) {
    const bool nan = std::isnan(v.value);
    low(r, j) = to_bf16(nan ? v.value : static_cast<float>(v.low));
    high(r, j) = to_bf16(nan ? v.value : static_cast<float>(v.high));
  });
}

DSV4_ENTRY(run, run, "silu_and_mul_clamp", "silu_and_mul_clamp/1", "dtype=bf16");
DSV4_AUX(interval, interval, "silu_and_mul_clamp", "interval", "dtype=bf16");

}  // namespace
}  // namespace dsv4::reference
