/// Reference of rmsnorm_head: divides each head by its root mean square.
///
/// The order of roundings is that of upstream's kernel: sglang 0.5.12, jit_kernel/csrc/deepseek_v4/rmsnorm.cuh (below,
/// "line" means a line of this file). Later releases do not have it. norm_factor.h says which factors float arithmetic
/// may give.
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/norm_factor.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "rmsnorm_head";

View<const Bf16, 3> input_view(TensorView input, std::int64_t dim) {
  const View<const Bf16, 3> heads(kOp, "input", input);
  heads.expect_size(2, dim).expect_dense_rows();
  return heads;
}
View<Bf16, 3> output_view(const char* name, TensorView output, const View<const Bf16, 3>& input) {
  const View<Bf16, 3> heads(kOp, name, output);
  for (int d = 0; d < 3; ++d) heads.expect_size(d, input.size(d));
  heads.expect_dense_rows();
  return heads;
}

Eigen::ArrayXf widened(const View<const Bf16, 3>& input, std::int64_t token, std::int64_t head) {
  return row_of(input, token, head).unaryExpr([](Bf16 x) { return to_float(x); });
}

/// run_self: for each head x of each token, y = x / sqrt(mean(x^2) + eps), rounded to bfloat16 (lines 73-83).
///
/// @param input   bf16 [tokens, heads, dim], last stride 1
/// @param output  bf16 [tokens, heads, dim], last stride 1, out
/// @param eps     is rounded to float
template <std::int64_t kDim>
void run_self(TensorView input, TensorView output, double eps) {
  const View<const Bf16, 3> x = input_view(input, kDim);
  const View<Bf16, 3> y = output_view("output", output, x);
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    for (std::int64_t h = 0; h < x.size(1); ++h) {
      const Eigen::ArrayXf row = widened(x, t, h);
      const float factor = norm_factor(row, static_cast<float>(eps)).value;
      for (std::int64_t d = 0; d < kDim; ++d) y(t, h, d) = to_bf16(row(d) * factor);
    }
  }
}

/// Computes the interval of right results. An element grows or shrinks with the factor, so the ends of the factor's
/// interval give its ends.
///
/// @param output_lo, output_hi  bf16 [tokens, heads, dim], out: least and greatest right result
/// The other arguments are those of `run_self`. Only output_lo and output_hi are written.
template <std::int64_t kDim>
void interval(TensorView input, TensorView, double eps, TensorView output_lo, TensorView output_hi) {
  const View<const Bf16, 3> x = input_view(input, kDim);
  const View<Bf16, 3> low = output_view("output_lo", output_lo, x), high = output_view("output_hi", output_hi, x);
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    for (std::int64_t h = 0; h < x.size(1); ++h) {
      const Eigen::ArrayXf row = widened(x, t, h);
      const NormFactor factor = norm_factor(row, static_cast<float>(eps));
      for (std::int64_t d = 0; d < kDim; ++d) {
        // A factor is not negative.
        low(t, h, d) = to_bf16(row(d) * (row(d) < 0.0f ? factor.high : factor.low));
        high(t, h, d) = to_bf16(row(d) * (row(d) < 0.0f ? factor.low : factor.high));
      }
    }
  }
}

constexpr auto run_self_256 = run_self<256>;
constexpr auto run_self_512 = run_self<512>;
constexpr auto interval_256 = interval<256>;
constexpr auto interval_512 = interval<512>;
DSV4_ENTRY(run_self_256, run_self_256, "rmsnorm_head", "rmsnorm_head/1", "head_dim=256");
DSV4_ENTRY(run_self_512, run_self_512, "rmsnorm_head", "rmsnorm_head/1", "head_dim=512");
DSV4_AUX(interval_256, interval_256, "rmsnorm_head", "interval", "head_dim=256");
DSV4_AUX(interval_512, interval_512, "rmsnorm_head", "interval", "head_dim=512");

}  // namespace
}  // namespace dsv4::reference
