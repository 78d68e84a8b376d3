/// plan_decode: makes the plan (V2, interface/compress_plan.h) of a decode step. The state row of a token is computed
/// from its slot in the sliding-window cache.
///
///     plan_decode(req_pool_indices, req_to_token, full_to_swa, seq_lens, compress_ratio, swa_page_size, ring_size)
///         -> plan_d
///
/// | argument         | shape         | dtype | |
/// |------------------|---------------|-------|-|
/// | req_pool_indices | [B]           | int64 | row of each request in req_to_token |
/// | req_to_token     | [requests, T] | int32 | cache slot of each position |
/// | full_to_swa      | [slots]       | int64 | for each cache slot, its slot in the sliding-window cache |
/// | seq_lens         | [B]           | int64 | length of each request, new token included |
/// | plan_d           | [B, 16]       | uint8 | returned: a DecodePlan per request, with all fields filled |
///
/// compress_ratio is 4 or 128. ring_size is a multiple of compress_ratio, and swa_page_size is a multiple of ring_size.
/// All tensors are on the device, so the host cannot check their contents. If a length is below 1, or a request, a
/// position or a slot is outside its map, the request's row is layout::kNoRequest. If only the previous group's token
/// cannot be found, its page is 0. If B = 0, the plan is empty.

#include "interface/entry.h"
#include "kernels/compress/decode_plan.cuh"

namespace dsv4 {
namespace {

Tensor plan_decode(TensorView req_pool_indices, TensorView req_to_token, TensorView full_to_swa, TensorView seq_lens,
                   std::int64_t compress_ratio, std::int64_t swa_page_size, std::int64_t ring_size) {
  ArgumentCheck check("plan_decode");
  check_ratio(check, compress_ratio);
  const SwaAddress address = swa_address(check, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size);
  return make_decode_plan(check, "plan_decode", req_pool_indices, seq_lens, compress_ratio, address);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_decode, dsv4::plan_decode, "plan_decode", "plan_decode/1", "");
