/// compress_c128_prefill: makes the compressed entries at ratio 128 that a prefill batch completes. Then it stores in
/// the state the rows of the tokens that are kept.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, plan_c, plan_w)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [pages, 128, 2H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [N, 2H]          | float32 | rows of the batch's tokens: kv, score |
/// | kv_output | [n_c, H]         | float32 | out; row k belongs to plan_c[k] |
/// | ape       | [128, H]         | float32 | bias of the scores for each place in the window |
/// | plan_c    | [n_c, 16]        | uint8   | CompressPlan; read_page_0 is not used |
/// | plan_w    | [n_w, 8]         | uint8   | WritePlan, n_w <= N |
///
/// All tensors are contiguous, on the same device, and aligned to 8 bytes, plan_c to 16. An entry is made from the 128
/// tokens of a group; the last of them is the token that plan_c names. Each column of the entry is the mean of their
/// kv, weighted by the softmax of their scores. The first `buffer_len` of the tokens are read from the state as it was
/// before the call. Therefore the rows are written to the state by a second launch. Sentinels (plan rows that are
/// marked as empty) are skipped. The plans are on the device, so the host cannot check them. A row of a plan that names
/// a token outside the batch, or a row or page outside the state, is skipped like a sentinel.

#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/c128_window.cuh"

namespace dsv4 {
namespace {

constexpr int kWriteThreads = 128;

/// True if all rows that the entry needs are in the state and in the batch.
DSV4_DEVICE bool has_rows(const PrefillParams& p, const layout::CompressPlan& plan) {
  if (plan.buffer_len > 0 && (plan.read_page_1 < 0 || plan.read_page_1 >= p.pages)) return false;
  return plan.buffer_len >= kGroup || (plan.ragged_id < p.tokens && plan.ragged_id + plan.buffer_len >= kGroup - 1);
}

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, 2) compress_kernel(const __grid_constant__ PrefillParams p) {
  using Place = C128Place<kHeadDim>;
  const Place place;
  wait_for_previous_kernel();
  const layout::CompressPlan plan = p.plan_c[place.unit];
  if (plan.seq_len == layout::kNoEntry || !has_rows(p, plan)) return;

  const float* group = p.state + static_cast<std::int64_t>(plan.read_page_1) * kGroup * Place::kRow + place.column;
  // `batch + j * Place::kRow` is the row of window entry j in the batch. It may be before the first row of the batch if
  // entry j comes from the state.
  const float* batch =
      p.input + place.column + (static_cast<std::int64_t>(plan.ragged_id) - (kGroup - 1)) * Place::kRow;
  C128Part<kHeadDim> window;
#pragma unroll
  for (int i = 0; i < kPart; ++i) {
    const int j = place.part * kPart + i;
    window.load(i, (j < plan.buffer_len ? group : batch) + j * Place::kRow);
  }
  const std::uint32_t first = place.column - threadIdx.x % kWarpLanes * kLaneColumns;
  store_mean<kHeadDim>(window, place.part, p.ape + place.column,
                       p.output + static_cast<std::int64_t>(place.unit) * kHeadDim + first);
}

/// A warp copies 128 contiguous floats. The two accesses of a lane are 256 bytes apart.
template <int kHeadDim>
__global__ void __launch_bounds__(kWriteThreads) write_kernel(const __grid_constant__ PrefillParams p) {
  using Place = C128Place<kHeadDim>;
  wait_for_previous_kernel();
  // The number of a thread may need more than 32 bits.
  const auto warp = static_cast<std::uint32_t>((std::uint64_t{blockIdx.x} * kWriteThreads + threadIdx.x) / kWarpLanes);
  const std::uint32_t unit = warp / Place::kBlocksPerUnit;
  if (unit >= p.writes) return;
  const layout::WritePlan plan = p.plan_w[unit];
  if (plan.ragged_id >= p.tokens || plan.write_loc < 0 || plan.write_loc >= p.pages * kGroup) return;

  const std::uint32_t first =
      warp % Place::kBlocksPerUnit * 2 * kBlockColumns + threadIdx.x % kWarpLanes * kLaneColumns;
  const float* from = p.input + static_cast<std::int64_t>(plan.ragged_id) * Place::kRow + first;
  float* to = p.state + static_cast<std::int64_t>(plan.write_loc) * Place::kRow + first;
  Columns part[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) part[i].load(from + i * kBlockColumns);
#pragma unroll
  for (int i = 0; i < 2; ++i) part[i].store(to + i * kBlockColumns);
}

template <int kHeadDim>
void launch(const PrefillParams& params, DLDevice device) {
  using Place = C128Place<kHeadDim>;
  if (params.entries > 0) {
    Launch{.name = "compress_c128_prefill",
           .device = device,
           .grid = grid_of(Place::blocks(params.entries), "compress_c128_prefill"),
           .block = dim3(kC128Threads)}(compress_kernel<kHeadDim>, params);
  }
  if (params.writes > 0) {
    constexpr std::int64_t kWarps = kWriteThreads / kWarpLanes;
    Launch{.name = "compress_c128_prefill",
           .device = device,
           .grid = grid_of(ceil_div<std::int64_t>(Place::blocks(params.writes), kWarps), "compress_c128_prefill"),
           .block = dim3(kWriteThreads)}(write_kernel<kHeadDim>, params);
  }
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  ArgumentCheck check("compress_c128_prefill");
  const PrefillParams params = check_prefill(check, kC128Form, kv_buffer, kv_input, kv_output, ape, plan_c, plan_w);
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_prefill", "compress_c128_prefill/1", "dtype=f32;head_dim=128|512");
