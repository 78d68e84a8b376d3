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
#include "kernels/compress/c128_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c128_decode";

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, kC128Blocks)
    decode_kernel(const __grid_constant__ DecodeParams p, int per_block) {
  const C128Place<kHeadDim> place;
  wait_for_previous_kernel();
  C128Thread<kHeadDim>{p, place}.decode(per_block, [&](std::int64_t token) {
    const layout::DecodePlan plan = p.plan[token];
    return C128Step{plan.seq_len == 0 ? -1 : plan.write_loc, plan.write_loc % kGroup == kGroup - 1, plan.read_page_1};
  });
}

template <int kHeadDim>
void launch(const DecodeParams& params, DLDevice device) {
  launch_c128_decode<kHeadDim>(kOp, device, params.requests, decode_kernel<kHeadDim>, params);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  ArgumentCheck check(kOp);
  const DecodeParams params = check_decode(check, kC128Form, kv_buffer, kv_input, kv_output, ape, plan_d);
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c128_decode", "compress_c128_decode/1", "dtype=f32;head_dim=128|512");
