/// q_norm_rope: normalises the heads of queries by their root mean square and rotates the last 64 elements of each.
///
///     forward(q_input, q_output, freqs_cis, positions, eps)
///
/// | argument  | shape       | dtype          | |
/// |-----------|-------------|----------------|-|
/// | q_input   | [T, H, 512] | bfloat16       | unit stride in the last dimension, any other strides |
/// | q_output  | [T, H, 512] | bfloat16       | as q_input; may be a slice of the heads of a wider buffer |
/// | freqs_cis | [M, 64]     | float32        | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | positions | [T]         | int32 or int64 | contiguous; row of freqs_cis for each token |
/// | eps       | number      |                | rounded to float32 |
///
/// y = bf16(x * f) with f = rsqrt(sum(x^2) / 512 + eps), in float32. Elements 448 + 2i and 449 + 2i of y are the real
/// and the imaginary part of pair i. They are rotated as in rotation.cuh and rounded to bfloat16 a second time.
///
/// Positions are on the device, so the host cannot check them. A token whose position is outside [0, M) is normalised
/// but not rotated. If there are no tokens or no heads, no kernel is launched.
///
/// Memory bandwidth limits the kernel. One warp handles a head, so the head stays in registers between its only load
/// and its only store (row_norm.cuh). The last eight lanes hold the last 64 elements, and each of them holds whole
/// pairs. If a stride or an address is not a multiple of 16 bytes, elements are read and written one by one.

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

struct NormRopeParams {
  HeadsOf<const __nv_bfloat16> input;
  HeadsOf<__nv_bfloat16> output;
  const float* freqs;
  const void* positions;
  std::int64_t rows;  ///< tokens * heads
  std::int64_t heads;
  std::int64_t table_rows;
  float eps;
};

template <typename Position, bool kWide>
__global__ void __launch_bounds__(kThreads) q_norm_rope_kernel(const __grid_constant__ NormRopeParams p) {
  wait_for_previous_kernel();
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (number >= p.rows) return;
  const std::int64_t token = number / p.heads;
  const std::int64_t head = number % p.heads;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  WarpRow<kTiles, kWide> row;
  row.load(p.input.head(token, head) + lane * kPerLane);
  // The angles are loaded before the reduction, so that both loads overlap.
  const std::int64_t position = static_cast<const Position*>(p.positions)[token];
  LaneAngles<kWide> angles;
  angles.load(p.freqs, p.table_rows, position, lane);

  row.normalise(p.eps);
  angles.rotate(row.tile[kTiles - 1]);
  row.store(p.output.head(token, head) + lane * kPerLane);
}

void forward(TensorView q_input, TensorView q_output, TensorView freqs_cis, TensorView positions, double eps) {
  ArgumentCheck check("q_norm_rope");
  Size tokens("tokens"), heads("heads"), table_rows("table rows");
  check.tensor("q_input", q_input).dtype({kBfloat16}).shape({tokens, heads, kDim}).on_cuda().unit_stride();
  check.tensor("q_output", q_output)
      .dtype({kBfloat16})
      .shape({tokens, heads, kDim})
      .on_cuda()
      .unit_stride()
      .no_overlap();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.tensor("positions", positions).dtype({kInt32, kInt64}).shape({tokens}).on_cuda().contiguous();
  const std::int64_t rows = tokens.value() * heads.value();
  if (rows == 0) return;

  const NormRopeParams params{
      .input = HeadsOf<const __nv_bfloat16>(q_input),
      .output = HeadsOf<__nv_bfloat16>(q_output),
      .freqs = data_of<const float>(freqs_cis),
      .positions = data_of<const void>(positions),
      .rows = rows,
      .heads = heads.value(),
      .table_rows = table_rows.value(),
      .eps = static_cast<float>(eps),
  };
  const bool wide = heads_are_aligned(q_input) && heads_are_aligned(q_output) && is_aligned(freqs_cis, 16);
  const bool is_i32 = same_dtype(positions.dtype(), kInt32);
  const auto kernel = is_i32
                          ? (wide ? q_norm_rope_kernel<std::int32_t, true> : q_norm_rope_kernel<std::int32_t, false>)
                          : (wide ? q_norm_rope_kernel<std::int64_t, true> : q_norm_rope_kernel<std::int64_t, false>);
  const dim3 grid = grid_of(ceil_div<std::int64_t>(rows, kWarps), "q_norm_rope");
  Launch{.name = "q_norm_rope", .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "q_norm_rope", "q_norm_rope/1", "");
