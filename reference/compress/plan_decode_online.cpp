/// Reference of `plan_decode_online`: makes the V2 online plan (interface/compress_plan.h) of a decode step. The slot
/// of a group is the page of the sliding-window cache that holds the group's first token.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"
#include "reference/plans/segments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_decode_online";

using layout::DecodePlan;

/// seq_lens and req_pool_indices are i64[B], req_to_token is i32[requests, positions], and full_to_swa is i64[slots].
/// plan_d is u8[B, 16]; it receives DecodePlan records. Throws a ValueError that names the argument.
///
/// Ids, lengths and maps are on the device, so a kernel's host code cannot check them. If a length is not from
/// 1 to 2^31 - 1, or the first token of the group is not in the maps, the request's record is layout::kNoRequest.
void plan_decode_online(TensorView seq_lens, TensorView req_pool_indices, TensorView req_to_token,
                        TensorView full_to_swa, TensorView plan_d, std::int64_t swa_page_size) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  const auto plan = plan_bytes<DecodePlan, std::uint8_t>(kOp, "plan_d", plan_d);
  plan.expect_size(0, ids.size(0));
  CacheRows slots = online_slots(kOp, req_to_token, full_to_swa, swa_page_size);
  write_records(plan, plans::online_decode_records(decode_requests(kOp, ids, seq, 0x7fffffff), slots));
}

}  // namespace

DSV4_ENTRY(plan_decode, plan_decode_online, "plan_decode_online", "plan_decode_online/1", "");

}  // namespace dsv4::reference
