/// Reference of `plan_decode`: makes the V2 plan (interface/compress_plan.h) of a decode step. The state row of a token
/// follows from its slot in the sliding-window cache.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_decode";

/// req_pool_indices and seq_lens are i64[B], req_to_token is i32[requests, positions], and full_to_swa is i64[slots].
/// Returns the plan, u8[B, 16], which consists of DecodePlan records. Throws a ValueError that names the argument.
///
/// Ids, lengths and maps are on the device, so a kernel's host code cannot check them. If a length is below 1, or the
/// token is not in the maps, the request's record is layout::kNoRequest. If only the first token of a group is not in
/// the maps, the page of the group is 0.
Tensor plan_decode(TensorView req_pool_indices, TensorView req_to_token, TensorView full_to_swa, TensorView seq_lens,
                   std::int64_t compress_ratio, std::int64_t swa_page_size, std::int64_t ring_size) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  CacheRows rows(kOp, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size);
  return new_plan(plans::decode_records(decode_requests(kOp, ids, seq, rows.positions()), compress_ratio, rows));
}

}  // namespace

DSV4_ENTRY(plan_decode, plan_decode, "plan_decode", "plan_decode/1", "");

}  // namespace dsv4::reference
