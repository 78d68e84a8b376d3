/// norm_rope: normalises rows by their root mean square, multiplies them by a weight, and rotates their last 64
/// elements, in place.
///
///     forward(input, weight, positions, freqs_cis, mode, eps, ratio)
///
/// | argument  | shape   | dtype    | |
/// |-----------|---------|----------|-|
/// | input     | [N, 512] | bfloat16 | contiguous, in place |
/// | weight    | [512]   | bfloat16 | contiguous |
/// | positions | [T]     | int64    | contiguous, T <= N; row of freqs_cis for each of the first T rows |
/// | freqs_cis | [M, 64] | float32  | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | mode      | 2       |          | upstream's function has other modes, which this one refuses |
/// | eps       | number  |          | rounded to float32 |
/// | ratio     | 0       |          | |
///
/// y = bf16((x * f) * w) with f = rsqrt(sum(x^2) / 512 + eps), in float32. Elements 448 + 2i and 449 + 2i of y are
/// rotated as in rotation.cuh and rounded to bfloat16 a second time.
///
/// Positions are on the device, so the host cannot check them. A row whose position is outside [0, M) is normalised but
/// not rotated. Rows without a position are not changed. If T = 0, no kernel is launched.
///
/// One warp handles a row, so the row stays in registers between its only load and its only store (row_norm.cuh). If an
/// address is not a multiple of 16 bytes, elements are read and written one by one.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/row_norm.cuh"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kDim = 512;
constexpr int kTiles = kDim / kPerTile;
constexpr std::int64_t kPlainMode = 2;

struct RowParams {
  __nv_bfloat16* rows;
  const __nv_bfloat16* weight;
  const std::int64_t* positions;
  const float* freqs;
  std::int64_t count;  ///< number of positions
  std::int64_t table_rows;
  float eps;
};

template <bool kWide>
__global__ void __launch_bounds__(kThreads) norm_rope_kernel(const __grid_constant__ RowParams p) {
  wait_for_previous_kernel();
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (number >= p.count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  __nv_bfloat16* const address = p.rows + number * kDim + lane * kPerLane;
  WarpRow<kTiles, kWide> row, weight;
  row.load(address);
  weight.load(p.weight + lane * kPerLane);
  // The angles are loaded before the reduction, so that both loads overlap.
  LaneAngles<kWide> angles;
  angles.load(p.freqs, p.table_rows, p.positions[number], lane);

  const float factor = row.factor(p.eps);
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      row.tile[t].v[i] = __float2bfloat16_rn(
          __fmul_rn(__fmul_rn(__bfloat162float(row.tile[t].v[i]), factor), __bfloat162float(weight.tile[t].v[i])));
    }
  }
  angles.rotate(row.tile[kTiles - 1]);
  row.store(address);
}

void forward(TensorView input, TensorView weight, TensorView positions, TensorView freqs_cis, std::int64_t mode,
             double eps, std::int64_t ratio) {
  ArgumentCheck check("norm_rope");
  Size rows("rows"), count("positions"), table_rows("table rows");
  check.tensor("input", input).dtype({kBfloat16}).shape({rows, kDim}).on_cuda().contiguous();
  check.tensor("weight", weight).dtype({kBfloat16}).shape({kDim}).on_cuda().contiguous();
  check.tensor("positions", positions).dtype({kInt64}).shape({count}).on_cuda().contiguous();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.require(count.value() <= rows.value(), "positions", "size ", count.value(), " of dimension 0 must be at most ",
                rows.value(), ", the number of rows of 'input'");
  check.require(mode == kPlainMode, "mode", "only mode 2 is supported, got ", mode);
  check.require(ratio == 0, "ratio", "must be 0 in mode 2, got ", ratio);
  if (count.value() == 0) return;

  const RowParams params{
      .rows = data_of<__nv_bfloat16>(input),
      .weight = data_of<const __nv_bfloat16>(weight),
      .positions = data_of<const std::int64_t>(positions),
      .freqs = data_of<const float>(freqs_cis),
      .count = count.value(),
      .table_rows = table_rows.value(),
      .eps = static_cast<float>(eps),
  };
  const bool wide = is_aligned(input, 16) && is_aligned(weight, 16) && is_aligned(freqs_cis, 16);
  const auto kernel = wide ? norm_rope_kernel<true> : norm_rope_kernel<false>;
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.count, kWarps), "norm_rope");
  Launch{.name = "norm_rope", .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "norm_rope", "norm_rope/1", "");
