/// compress_c4_decode: stores the row of each request's newest token in the state. If this token completes a group of
/// four tokens, the kernel makes the compressed entry of the group.
///
///     decode(kv_buffer, kv_input, kv_output, ape, plan_d)
///
/// | argument  | shape          | dtype   | |
/// |-----------|----------------|---------|-|
/// | kv_buffer | [pages, 4, 4H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [B, 4H]        | float32 | a row per newest token: kv overlap, kv own, score overlap, score own |
/// | kv_output | [B, H]         | float32 | out; a row is written if the request's length is a multiple of 4 |
/// | ape       | [8, H]         | float32 | bias of the scores for each place in the window |
/// | plan_d    | [B, 16]        | uint8   | DecodePlan |
///
/// All tensors are contiguous, on the same device, and aligned to 16 bytes. Each column of an entry is the mean of the
/// kv of the request's last eight tokens, weighted by the softmax of their scores. The state rows that the plan names
/// must exist. No two requests may write to the same row, and no request may read a row that another request writes. If
/// B = 0, no kernel is launched.
///
/// The plan is on the device, so the host cannot check it. A row of the plan is skipped if its length is 0 (it pads the
/// batch) or if write_loc is not a row of the state: nothing is kept, and no entry is written. If a page that the entry
/// needs is not in the state, the token is kept, and no entry is written.

#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/c4_window.cuh"

namespace dsv4 {
namespace {

template <int kHeadDim>
__global__ void __launch_bounds__(kC4Threads, 4) decode_kernel(const __grid_constant__ DecodeParams p) {
  using Place = C4Place<kHeadDim>;
  const Place place;
  wait_for_previous_kernel();
  if (place.unit >= p.requests) return;
  const layout::DecodePlan plan = p.plan[place.unit];
  if (plan.seq_len == 0 || plan.write_loc < 0 || plan.write_loc >= p.pages * kGroup) return;
  const bool first_group = plan.seq_len <= kGroup;
  const bool has_pages = plan.read_page_1 >= 0 && plan.read_page_1 < p.pages &&
                         (first_group || (plan.read_page_0 >= 0 && plan.read_page_0 < p.pages));

  // A lane stores its own columns of all four blocks. So the window below reads nothing that another lane writes.
  const float* newest = p.input + static_cast<std::int64_t>(place.unit) * Place::kRow + place.column;
  float* kept = p.state + static_cast<std::int64_t>(plan.write_loc) * Place::kRow + place.column;
  Columns block[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) block[i].load(newest + i * kHeadDim);
#pragma unroll
  for (int i = 0; i < 4; ++i) block[i].store(kept + i * kHeadDim);
  if (plan.seq_len % kGroup != 0 || !has_pages) return;

  const float* state = p.state + place.column;
  const float* group_before = state + static_cast<std::int64_t>(plan.read_page_0) * kGroup * Place::kRow;
  const float* group = state + static_cast<std::int64_t>(plan.read_page_1) * kGroup * Place::kRow;
  C4Window<kHeadDim> window;
#pragma unroll
  for (int i = 0; i < kWindow - 1; ++i) {
    if (i < kGroup && first_group) {
      window.absent(i);
    } else {
      window.load(i, (i < kGroup ? group_before : group) + i % kGroup * Place::kRow);
    }
  }
  window.kv[kWindow - 1] = block[1];  // the newest token, which is still in registers
  window.score[kWindow - 1] = block[3];
  const Columns out = window.mean(p.ape + place.column);
  out.store(p.output + static_cast<std::int64_t>(place.unit) * kHeadDim + place.column);
}

template <int kHeadDim>
void launch(const DecodeParams& params, DLDevice device) {
  Launch{.name = "compress_c4_decode",
         .device = device,
         .grid = grid_of(C4Place<kHeadDim>::blocks(params.requests), "compress_c4_decode"),
         .block = dim3(kC4Threads)}(decode_kernel<kHeadDim>, params);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  ArgumentCheck check("compress_c4_decode");
  const DecodeParams params = check_decode(check, kC4Form, kv_buffer, kv_input, kv_output, ape, plan_d);
  if (params.requests == 0) return;
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c4_decode", "compress_c4_decode/1", "dtype=f32;head_dim=128|512");
