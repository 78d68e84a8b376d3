/// rmsnorm_head: divides the heads of queries by their root mean square.
///
///     run_self_<D>(input, output, eps)      D = 256, 512
///
/// | argument | shape     | dtype    | |
/// |----------|-----------|----------|-|
/// | input    | [T, H, D] | bfloat16 | unit stride in the last dimension, any other strides |
/// | output   | [T, H, D] | bfloat16 | as input |
/// | eps      | number    |          | rounded to float32 |
///
/// y = bf16(x * f) with f = rsqrt(sum(x^2) / D + eps), in float32. If there are no tokens or no heads, no kernel is
/// launched.
///
/// Memory bandwidth limits the kernel. One warp handles a head, so the head stays in registers between its only load
/// and its only store (row_norm.cuh). If a stride or an address is not a multiple of 16 bytes, elements are read and
/// written one by one.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/row_norm.cuh"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

struct NormParams {
  HeadsOf<const __nv_bfloat16> input;
  HeadsOf<__nv_bfloat16> output;
  std::int64_t rows;  ///< tokens * heads
  std::int64_t heads;
  float eps;
};

template <int kDim, bool kWide>
__global__ void __launch_bounds__(kThreads) rmsnorm_head_kernel(const __grid_constant__ NormParams p) {
  wait_for_previous_kernel();
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (number >= p.rows) return;
  const std::int64_t token = number / p.heads;
  const std::int64_t head = number % p.heads;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x % 32) * kPerLane;

  WarpRow<kDim / kPerTile, kWide> row;
  row.load(p.input.head(token, head) + first);
  row.normalise(p.eps);
  row.store(p.output.head(token, head) + first);
}

template <int kDim>
void run_self(TensorView input, TensorView output, double eps) {
  ArgumentCheck check("rmsnorm_head");
  Size tokens("tokens"), heads("heads");
  check.tensor("input", input).dtype({kBfloat16}).shape({tokens, heads, kDim}).on_cuda().unit_stride();
  check.tensor("output", output).dtype({kBfloat16}).shape({tokens, heads, kDim}).on_cuda().unit_stride().no_overlap();
  const std::int64_t rows = tokens.value() * heads.value();
  if (rows == 0) return;

  const NormParams params{
      .input = HeadsOf<const __nv_bfloat16>(input),
      .output = HeadsOf<__nv_bfloat16>(output),
      .rows = rows,
      .heads = heads.value(),
      .eps = static_cast<float>(eps),
  };
  const bool wide = heads_are_aligned(input) && heads_are_aligned(output);
  const auto kernel = wide ? rmsnorm_head_kernel<kDim, true> : rmsnorm_head_kernel<kDim, false>;
  const dim3 grid = grid_of(ceil_div<std::int64_t>(rows, kWarps), "rmsnorm_head");
  Launch{.name = "rmsnorm_head", .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run_self_256, dsv4::run_self<256>, "rmsnorm_head", "rmsnorm_head/1", "head_dim=256");
DSV4_ENTRY(run_self_512, dsv4::run_self<512>, "rmsnorm_head", "rmsnorm_head/1", "head_dim=512");
