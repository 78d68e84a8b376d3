/// plan_decode_legacy: makes the plan (V2, interface/compress_plan.h) of a decode step. Each request has its own ring
/// of state rows.
///
///     plan_decode_legacy(req_pool_indices, seq_lens, compress_ratio) -> plan_d
///
/// | argument         | shape   | dtype | |
/// |------------------|---------|-------|-|
/// | req_pool_indices | [B]     | int64 | ring of each request; it has 8 rows at ratio 4, and 128 at ratio 128 |
/// | seq_lens         | [B]     | int64 | length of each request, new token included |
/// | plan_d           | [B, 16] | uint8 | returned: a DecodePlan per request, with all fields filled |
///
/// All tensors are on the device, so the host cannot check their contents. If a length is below 1, or a request is
/// negative or its rows need more than 31 bits, the request's row is layout::kNoRequest. If B = 0, the plan is empty.

#include "interface/entry.h"
#include "kernels/compress/decode_plan.cuh"

namespace dsv4 {
namespace {

Tensor plan_decode_legacy(TensorView req_pool_indices, TensorView seq_lens, std::int64_t compress_ratio) {
  ArgumentCheck check("plan_decode_legacy");
  check_ratio(check, compress_ratio);
  return make_decode_plan(check, "plan_decode_legacy", req_pool_indices, seq_lens, compress_ratio,
                          ring_address(compress_ratio));
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_decode_legacy, dsv4::plan_decode_legacy, "plan_decode_legacy", "plan_decode_legacy/1", "");
