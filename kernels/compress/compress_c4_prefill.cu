/// compress_c4_prefill: makes the compressed entries that a prefill batch completes. Then it stores in the state the
/// rows of the tokens that are kept.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, plan_c, plan_w)
///
/// | argument  | shape         | dtype   | |
/// |-----------|---------------|---------|-|
/// | kv_buffer | [pages, 4, 4H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [N, 4H]       | float32 | rows of the batch's tokens: kv overlap, kv own, score overlap, score own |
/// | kv_output | [n_c, H]      | float32 | out; row k belongs to plan_c[k] |
/// | ape       | [8, H]        | float32 | bias of the scores for each place in the window |
/// | plan_c    | [n_c, 16]     | uint8   | CompressPlan |
/// | plan_w    | [n_w, 8]      | uint8   | WritePlan, n_w <= N |
///
/// All tensors are contiguous, on the same device, and aligned to 16 bytes. An entry is made from eight tokens; the
/// last of them is the token that plan_c names. Each column of the entry is the mean of their kv, weighted by the
/// softmax of their scores. The first `buffer_len` of the eight tokens are read from the state as it was before the
/// call. Therefore the rows are written to the state by a second launch. Sentinels (plan rows that are marked as empty)
/// are skipped. The plans are on the device, so the host cannot check them. A row of a plan that names a token outside
/// the batch, or a row or page outside the state, is skipped like a sentinel.

#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/c4_window.cuh"

namespace dsv4 {
namespace {

/// True if all rows that the entry needs are in the state and in the batch.
DSV4_DEVICE bool has_rows(const PrefillParams& p, const layout::CompressPlan& plan) {
  const int first = plan.seq_len <= kGroup ? kGroup : 0;  // the first window entry that is present
  const int from_state = plan.buffer_len < kWindow ? plan.buffer_len : kWindow;
  const int from_batch = from_state > first ? from_state : first;  // the first one that is read from the batch
  if (from_state > first && first == 0 && (plan.read_page_0 < 0 || plan.read_page_0 >= p.pages)) return false;
  if (from_state > kGroup && (plan.read_page_1 < 0 || plan.read_page_1 >= p.pages)) return false;
  return from_batch == kWindow || (plan.ragged_id < p.tokens && plan.ragged_id + from_batch >= kWindow - 1);
}

template <int kHeadDim>
__global__ void __launch_bounds__(kC4Threads, 4) compress_kernel(const __grid_constant__ PrefillParams p) {
  using Place = C4Place<kHeadDim>;
  const Place place;
  wait_for_previous_kernel();
  if (place.unit >= p.entries) return;
  const layout::CompressPlan plan = p.plan_c[place.unit];
  if (plan.seq_len == layout::kNoEntry || !has_rows(p, plan)) return;

  const float* state = p.state + place.column;
  const float* group_before = state + static_cast<std::int64_t>(plan.read_page_0) * kGroup * Place::kRow;
  const float* group = state + static_cast<std::int64_t>(plan.read_page_1) * kGroup * Place::kRow;
  // `batch + i * Place::kRow` is the row of window entry i in the batch. It may be before the first row of the batch if
  // entry i comes from the state.
  const float* batch =
      p.input + place.column + (static_cast<std::int64_t>(plan.ragged_id) - (kWindow - 1)) * Place::kRow;
  C4Window<kHeadDim> window;
  const bool first_group = plan.seq_len <= kGroup;
#pragma unroll
  for (int i = 0; i < kWindow; ++i) {
    if (i < kGroup && first_group) {
      window.absent(i);
    } else {
      const float* page = i < kGroup ? group_before : group;
      window.load(i, i < plan.buffer_len ? page + i % kGroup * Place::kRow : batch + i * Place::kRow);
    }
  }
  const Columns out = window.mean(p.ape + place.column);
  out.store(p.output + static_cast<std::int64_t>(place.unit) * kHeadDim + place.column);
}

/// A warp copies 512 contiguous floats. The four accesses of a lane are 512 bytes apart.
template <int kHeadDim>
__global__ void __launch_bounds__(kC4Threads) write_kernel(const __grid_constant__ PrefillParams p) {
  using Place = C4Place<kHeadDim>;
  const Place place;
  wait_for_previous_kernel();
  if (place.unit >= p.writes) return;
  const layout::WritePlan plan = p.plan_w[place.unit];
  if (plan.ragged_id >= p.tokens || plan.write_loc < 0 || plan.write_loc >= p.pages * kGroup) return;

  const std::uint32_t lane = threadIdx.x % kWarpLanes * kLaneColumns;
  const std::uint32_t first = (place.column - lane) * 4 + lane;
  const float* from = p.input + static_cast<std::int64_t>(plan.ragged_id) * Place::kRow + first;
  float* to = p.state + static_cast<std::int64_t>(plan.write_loc) * Place::kRow + first;
  Columns part[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) part[i].load(from + i * kWarpColumns);
#pragma unroll
  for (int i = 0; i < 4; ++i) part[i].store(to + i * kWarpColumns);
}

template <int kHeadDim>
void launch(const PrefillParams& params, DLDevice device) {
  using Place = C4Place<kHeadDim>;
  const dim3 block(kC4Threads);
  if (params.entries > 0) {
    Launch{.name = "compress_c4_prefill",
           .device = device,
           .grid = grid_of(Place::blocks(params.entries), "compress_c4_prefill"),
           .block = block}(compress_kernel<kHeadDim>, params);
  }
  if (params.writes > 0) {
    Launch{.name = "compress_c4_prefill",
           .device = device,
           .grid = grid_of(Place::blocks(params.writes), "compress_c4_prefill"),
           .block = block}(write_kernel<kHeadDim>, params);
  }
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  ArgumentCheck check("compress_c4_prefill");
  const PrefillParams params = check_prefill(check, kC4Form, kv_buffer, kv_input, kv_output, ape, plan_c, plan_w);
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c4_prefill", "compress_c4_prefill/1", "dtype=f32;head_dim=128|512");
