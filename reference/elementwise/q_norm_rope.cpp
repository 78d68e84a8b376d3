/// Reference of q_norm_rope: normalises the heads of queries by their root mean square, and then rotates the last 64
/// elements of each head by the angles of the token's position.
///
/// The order of roundings is that of upstream's kernel: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh (below, "line" means a line of this file). norm_factor.h and
/// rotation.h, in this folder, say which results float arithmetic may give.
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/norm_factor.h"
#include "reference/elementwise/rotated_row.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "q_norm_rope";
constexpr std::int64_t kDim = 512;

/// The arguments of a call.
struct Heads {
  View<const Bf16, 3> input;
  TokenAngles angles;
  float eps;

  Heads(TensorView q_input, TensorView freqs_cis, TensorView positions, double epsilon)
      : input(kOp, "q_input", q_input),
        angles(kOp, freqs_cis, positions, input.size(0)),
        eps(static_cast<float>(epsilon)) {
    input.expect_size(2, kDim).expect_dense_rows();
  }

  [[nodiscard]] Eigen::ArrayXf row(std::int64_t token, std::int64_t head) const {
    return row_of(input, token, head).unaryExpr([](Bf16 x) { return to_float(x); });
  }
  [[nodiscard]] View<Bf16, 3> output(const char* name, TensorView tensor) const {
    const View<Bf16, 3> view(kOp, name, tensor);
    view.expect_size(0, input.size(0)).expect_size(1, input.size(1)).expect_size(2, kDim).expect_dense_rows();
    return view;
  }
};

/// forward: for each head x of each token, y = x / sqrt(mean(x^2) + eps), and the last 64 elements of y are rotated.
///
/// Elements (448 + 2i, 449 + 2i) are the real and the imaginary part of pair i. They are multiplied by cos_i + i sin_i
/// in row positions[token] of freqs_cis. A token whose position is outside freqs_cis is normalised, but not rotated.
/// Upstream's kernel does not check positions (lines 94 and 112).
///
/// @param q_input    bf16 [tokens, heads, 512], last stride 1
/// @param q_output   bf16 [tokens, heads, 512], last stride 1, out
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param positions  i32 or i64 [tokens], contiguous
/// @param eps        is rounded to float
void forward(TensorView q_input, TensorView q_output, TensorView freqs_cis, TensorView positions, double eps) {
  const Heads heads(q_input, freqs_cis, positions, eps);
  const View<Bf16, 3> output = heads.output("q_output", q_output);
  for (std::int64_t t = 0; t < output.size(0); ++t) {
    for (std::int64_t h = 0; h < output.size(1); ++h) {
      const Eigen::ArrayXf row = heads.row(t, h);
      // Also the elements that are rotated are rounded first (lines 126-142).
      NormedRow y = rounded(row * norm_factor(row, heads.eps).value);
      rotate_tail(y, heads.angles, t);
      for (std::int64_t d = 0; d < kDim; ++d) output(t, h, d) = y[static_cast<std::size_t>(d)];
    }
  }
}

/// Computes the interval of right results, from the ends of the factor's interval.
///
/// @param q_output_lo, q_output_hi  bf16 [tokens, heads, 512], out: least and greatest right result
/// The other arguments are those of `forward`. Only q_output_lo and q_output_hi are written.
void interval(TensorView q_input, TensorView, TensorView freqs_cis, TensorView positions, double eps,
              TensorView q_output_lo, TensorView q_output_hi) {
  const Heads heads(q_input, freqs_cis, positions, eps);
  const View<Bf16, 3> low = heads.output("q_output_lo", q_output_lo);
  const View<Bf16, 3> high = heads.output("q_output_hi", q_output_hi);
  for (std::int64_t t = 0; t < low.size(0); ++t) {
    for (std::int64_t h = 0; h < low.size(1); ++h) {
      const Eigen::ArrayXf row = heads.row(t, h);
      const NormFactor factor = norm_factor(row, heads.eps);
      const auto brackets =
          brackets_of(std::array{rounded(row * factor.low), rounded(row * factor.high)}, heads.angles, t);
      for (std::int64_t d = 0; d < kDim; ++d) {
        low(t, h, d) = brackets[static_cast<std::size_t>(d)].low();
        high(t, h, d) = brackets[static_cast<std::size_t>(d)].high();
      }
    }
  }
}

DSV4_ENTRY(forward, forward, "q_norm_rope", "q_norm_rope/1", "");
DSV4_AUX(forward_interval, interval, "q_norm_rope", "interval", "");

}  // namespace
}  // namespace dsv4::reference
