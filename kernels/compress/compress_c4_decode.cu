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
#include "kernels/compress/c4_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c4_decode";

template <int kHeadDim>
__global__ void __launch_bounds__(kC4Threads, 4) decode_kernel(const __grid_constant__ DecodeParams p) {
  const C4Place<kHeadDim> place;
  wait_for_previous_kernel();
  if (place.unit >= p.requests) return;
  const C4Lane<kHeadDim> lane{p, place};
  const C4Token newest = lane.load_token(place.unit);
  const layout::DecodePlan plan = p.plan[place.unit];
  __syncwarp();  // otherwise the compiler would load the token only after the test
  if (plan.seq_len == 0) return;
  lane.decode(newest, plan.write_loc, plan.seq_len % kGroup == 0, plan.seq_len <= kGroup,
              {plan.read_page_0, plan.read_page_1}, kAbsentScore);
}

template <int kHeadDim>
void launch(const DecodeParams& params, DLDevice device) {
  launch_c4<kHeadDim>(kOp, device, params.requests, decode_kernel<kHeadDim>, params);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  ArgumentCheck check(kOp);
  const DecodeParams params = check_decode(check, kC4Form, kv_buffer, kv_input, kv_output, ape, plan_d);
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c4_decode", "compress_c4_decode/1", "dtype=f32;head_dim=128|512");
