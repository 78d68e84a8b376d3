/// compress_c128_decode: stores the row of each request's newest token in the state. If this token completes a group of
/// 128 tokens, the kernel makes the compressed entry of the group.
///
///     decode(kv_buffer, kv_input, kv_output, ape, plan_d)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [pages, 128, 2H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [B, 2H]          | float32 | a row per newest token: kv, score |
/// | kv_output | [B, H]           | float32 | out; a row is written if the token is the last one of its group |
/// | ape       | [128, H]         | float32 | bias of the scores for each place in the window |
/// | plan_d    | [B, 16]          | uint8   | DecodePlan |
///
/// All tensors are contiguous, on the same device, and aligned to 8 bytes, plan_d to 16. Each column of an entry is the
/// mean of the kv of the request's last 128 tokens, weighted by the softmax of their scores. The token is the last one
/// of its group if write_loc is the last row of a state page. The state rows that the plan names must exist. No two
/// requests may write to the same row, and no request may read a row that another request writes. If B = 0, no kernel
/// is launched.
///
/// The plan is on the device, so the host cannot check it. A row of the plan is skipped if its length is 0 (it pads the
/// batch) or if write_loc is not a row of the state: nothing is kept, and no entry is written. If the page that the
/// entry needs is not in the state, the token is kept, and no entry is written.

#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/c128_window.cuh"

namespace dsv4 {
namespace {

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, 2) decode_kernel(const __grid_constant__ DecodeParams p) {
  using Place = C128Place<kHeadDim>;
  const Place place;
  wait_for_previous_kernel();
  const layout::DecodePlan plan = p.plan[place.unit];
  if (plan.seq_len == 0 || plan.write_loc < 0 || plan.write_loc >= p.pages * kGroup) return;

  // The warp with the last part of the window stores the row of the newest token. A lane stores its own columns. So the
  // window below reads nothing that another thread writes.
  Columns kv{}, score{};
  if (place.part == kParts - 1) {
    const float* newest = p.input + static_cast<std::int64_t>(place.unit) * Place::kRow + place.column;
    float* kept = p.state + static_cast<std::int64_t>(plan.write_loc) * Place::kRow + place.column;
    kv.load(newest);
    score.load(newest + kHeadDim);
    kv.store(kept);
    score.store(kept + kHeadDim);
  }
  const bool has_page = plan.read_page_1 >= 0 && plan.read_page_1 < p.pages;
  if (plan.write_loc % kGroup != kGroup - 1 || !has_page) return;

  const float* group = p.state + static_cast<std::int64_t>(plan.read_page_1) * kGroup * Place::kRow + place.column;
  C128Part<kHeadDim> window;
#pragma unroll
  for (int i = 0; i < kPart; ++i) {
    if (i == kPart - 1 && place.part == kParts - 1) {
      window.kv[i] = kv;  // the newest token, which is still in registers
      window.score[i] = score;
    } else {
      window.load(i, group + (place.part * kPart + i) * Place::kRow);
    }
  }
  const std::uint32_t first = place.column - threadIdx.x % kWarpLanes * kLaneColumns;
  store_mean<kHeadDim>(window, place.part, p.ape + place.column,
                       p.output + static_cast<std::int64_t>(place.unit) * kHeadDim + first);
}

template <int kHeadDim>
void launch(const DecodeParams& params, DLDevice device) {
  Launch{.name = "compress_c128_decode",
         .device = device,
         .grid = grid_of(C128Place<kHeadDim>::blocks(params.requests), "compress_c128_decode"),
         .block = dim3(kC128Threads)}(decode_kernel<kHeadDim>, params);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  ArgumentCheck check("compress_c128_decode");
  const DecodeParams params = check_decode(check, kC128Form, kv_buffer, kv_input, kv_output, ape, plan_d);
  if (params.requests == 0) return;
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c128_decode", "compress_c128_decode/1", "dtype=f32;head_dim=128|512");
