/// Reference of norm_rope: normalises rows by their root mean square, multiplies them by a weight, and rotates their
/// last 64 elements by the angles of the tokens' positions, in place.
///
/// The order of roundings is that of upstream's kernel: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/fused_norm_rope.cuh (below, "line" means a line of this file), in the mode
/// DefaultForward. norm_factor.h and rotation.h, in this folder, say which results float arithmetic may give.
#include <cstdint>
#include <string>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/norm_factor.h"
#include "reference/elementwise/rotated_row.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "norm_rope";
constexpr std::int64_t kDim = 512;
constexpr std::int64_t kPlainMode = 2;  ///< DefaultForward (lines 35-39)

/// The arguments of a call.
struct Rows {
  View<Bf16, 2> input;
  View<const Bf16, 1> weight;
  View<const std::int64_t, 1> positions;
  TokenAngles angles;
  float eps;

  Rows(TensorView rows, TensorView row_weight, TensorView token_positions, TensorView freqs_cis, std::int64_t mode,
       double epsilon, std::int64_t ratio)
      : input(kOp, "input", rows),
        weight(kOp, "weight", row_weight),
        positions(kOp, "positions", token_positions),
        angles(kOp, freqs_cis, token_positions, positions.size(0)),
        eps(static_cast<float>(epsilon)) {
    input.expect_size(1, kDim).expect_contiguous();
    weight.expect_size(0, kDim).expect_contiguous();
    if (positions.size(0) > input.size(0)) {
      refuse(kOp, "positions",
             "expected at most " + std::to_string(input.size(0)) + " elements, one for each row of 'input', got " +
                 std::to_string(positions.size(0)));
    }
    if (mode != kPlainMode) refuse(kOp, "mode", "expected 2, got " + std::to_string(mode));
    if (ratio != 0) refuse(kOp, "ratio", "expected 0, got " + std::to_string(ratio));
  }

  [[nodiscard]] std::int64_t size() const { return positions.size(0); }
  [[nodiscard]] NormFactor factor(std::int64_t t) const { return norm_factor(widened(t), eps); }
  /// The row times the factor and then times the weight. Both products are rounded to float, and the result to bfloat16
  /// (line 132).
  [[nodiscard]] NormedRow normalised(std::int64_t t, float factor) const {
    const Eigen::ArrayXf scaled = widened(t) * factor;
    return rounded(scaled * row_of(weight).unaryExpr([](Bf16 w) { return to_float(w); }));
  }

 private:
  [[nodiscard]] Eigen::ArrayXf widened(std::int64_t t) const {
    return row_of(input, t).unaryExpr([](Bf16 x) { return to_float(x); });
  }
};

/// forward: row t becomes y = x / sqrt(mean(x^2) + eps) * weight, and the last 64 elements of y are rotated.
///
/// Elements (448 + 2i, 449 + 2i) are the real and the imaginary part of pair i. They are multiplied by cos_i + i sin_i
/// in row positions[t] of freqs_cis. A row whose position is outside freqs_cis is normalised, but not rotated.
/// Upstream's kernel does not check positions (lines 84 and 94). There may be fewer positions than rows. Then the other
/// rows are not changed. Upstream's kernel does not refuse more positions than rows (lines 187-229).
///
/// @param input      bf16 [rows, 512], contiguous, in place
/// @param weight     bf16 [512], contiguous
/// @param positions  i64 [tokens], contiguous
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param mode       2; upstream's function has two more modes, which are other ops
/// @param eps        is rounded to float
/// @param ratio      0
void forward(TensorView input, TensorView weight, TensorView positions, TensorView freqs_cis, std::int64_t mode,
             double eps, std::int64_t ratio) {
  const Rows rows(input, weight, positions, freqs_cis, mode, eps, ratio);
  for (std::int64_t t = 0; t < rows.size(); ++t) {
    NormedRow y = rows.normalised(t, rows.factor(t).value);
    rotate_tail(y, rows.angles, t);
    for (std::int64_t d = 0; d < kDim; ++d) rows.input(t, d) = y[static_cast<std::size_t>(d)];
  }
}

/// Computes the interval of right results, from the ends of the factor's interval.
///
/// @param input_lo, input_hi  bf16 [rows, 512], out: least and greatest right result; a row without a position has its
///                            input there
/// The other arguments are those of `forward`. Only input_lo and input_hi are written.
void interval(TensorView input, TensorView weight, TensorView positions, TensorView freqs_cis, std::int64_t mode,
              double eps, std::int64_t ratio, TensorView input_lo, TensorView input_hi) {
  const Rows rows(input, weight, positions, freqs_cis, mode, eps, ratio);
  const View<Bf16, 2> low(kOp, "input_lo", input_lo), high(kOp, "input_hi", input_hi);
  for (std::int64_t t = 0; t < rows.input.size(0); ++t) {
    for (std::int64_t d = 0; d < kDim; ++d) low(t, d) = high(t, d) = rows.input(t, d);
  }
  for (std::int64_t t = 0; t < rows.size(); ++t) {
    const NormFactor factor = rows.factor(t);
    const auto brackets =
        brackets_of(std::array{rows.normalised(t, factor.low), rows.normalised(t, factor.high)}, rows.angles, t);
    for (std::int64_t d = 0; d < kDim; ++d) {
      low(t, d) = brackets[static_cast<std::size_t>(d)].low();
      high(t, d) = brackets[static_cast<std::size_t>(d)].high();
    }
  }
}

DSV4_ENTRY(forward, forward, "norm_rope", "norm_rope/1", "");
DSV4_AUX(forward_interval, interval, "norm_rope", "interval", "");

}  // namespace
}  // namespace dsv4::reference
