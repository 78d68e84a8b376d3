/// Reference of `plan_prefill_online`: makes the V2 online plans (interface/compress_plan.h) of a prefill batch. The
/// slot of a group is the page of the sliding-window cache that holds the group's first token.
///
///   compress = { segments that complete a group of 128 tokens }
///   write    = { segments of groups that stay open }
///
/// A segment is a run of new tokens of one request in one group. reference/plans/segments.h has the rules, and where
/// they come from.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"
#include "reference/plans/segments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_prefill_online";

using layout::CompressPlan;
using Counts = tvm::ffi::Tuple<std::int64_t, std::int64_t>;

/// Largest number of tokens of a batch. A CompressPlan numbers tokens with 16 bits.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 16;

/// seq_lens, extend_lens and req_pool_indices are i64[B], req_to_token is i32[requests, positions], and full_to_swa is
/// i64[slots]. The four plans are u8[num_q, 16]. Kernels use plan_c_pin and plan_w_pin, which are in pinned host
/// memory, for temporary data; this reference does not. plan_c_dev and plan_w_dev receive CompressPlan records in
/// ragged order.
///
/// Returns the numbers of records of both plans. The other rows are not written. Ids and maps are on the device, so a
/// kernel's host code cannot check them. If the first token of a segment's group is not in the maps, a sentinel takes
/// the place of the segment. It is a record that is marked as empty. Throws a ValueError that names the argument.
Counts plan_prefill_online(TensorView seq_lens, TensorView extend_lens, TensorView req_pool_indices,
                           TensorView req_to_token, TensorView full_to_swa, TensorView plan_c_pin,
                           TensorView plan_w_pin, TensorView plan_c_dev, TensorView plan_w_dev,
                           std::int64_t swa_page_size) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  const Numbers extend = numbers(kOp, "extend_lens", extend_lens).expect_size(0, ids.size(0));
  const auto staged = plan_bytes<CompressPlan, std::uint8_t>(kOp, "plan_c_pin", plan_c_pin);
  const std::int64_t rows = staged.size(0);
  if (rows > kMostTokens) {
    refuse(kOp, "plan_c_pin", "expected at most 65536 rows, one per token, got " + std::to_string(rows));
  }
  plan_bytes<CompressPlan, std::uint8_t>(kOp, "plan_w_pin", plan_w_pin).expect_size(0, rows);
  const auto compress = plan_bytes<CompressPlan, std::uint8_t>(kOp, "plan_c_dev", plan_c_dev);
  const auto write = plan_bytes<CompressPlan, std::uint8_t>(kOp, "plan_w_dev", plan_w_dev);
  compress.expect_size(0, rows);
  write.expect_size(0, rows);
  CacheRows slots = online_slots(kOp, req_to_token, full_to_swa, swa_page_size);
  const auto records = plans::online_records(prefill_requests(kOp, ids, seq, extend, rows, false), slots);
  const std::int64_t n_c = write_records(compress, records.compress);
  return Counts(n_c, write_records(write, records.write));
}

}  // namespace

DSV4_ENTRY(plan_prefill, plan_prefill_online, "plan_prefill_online", "plan_prefill_online/1", "");

}  // namespace dsv4::reference
