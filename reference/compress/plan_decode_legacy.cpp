/// Reference of `plan_decode_legacy`: makes the V2 plan (interface/compress_plan.h) of a decode step. Each request has
/// its own ring of state rows.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_decode_legacy";

/// req_pool_indices and seq_lens are i64[B]. Returns the plan, u8[B, 16], which consists of DecodePlan records. Throws
/// a ValueError that names the argument.
///
/// Ids and lengths are on the device, so a kernel's host code cannot check them. If a length is not from 1 to 2^31 - 1,
/// or the request's rows need more than 31 bits, its record is layout::kNoRequest.
Tensor plan_decode_legacy(TensorView req_pool_indices, TensorView seq_lens, std::int64_t compress_ratio) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  RequestRows rows(kOp, compress_ratio);
  return new_plan(plans::decode_records(decode_requests(kOp, ids, seq, 0x7fffffff), compress_ratio, rows));
}

}  // namespace

DSV4_ENTRY(plan_decode_legacy, plan_decode_legacy, "plan_decode_legacy", "plan_decode_legacy/1", "");

}  // namespace dsv4::reference
