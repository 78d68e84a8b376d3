/// Reference of `plan_compress_prefill`: makes the V1 plans (interface/compress_plan.h) of a prefill batch. The plans
/// name the tokens that complete a compressed entry, and the tokens that must be kept.
///
///   compress = { tokens that complete a group of `ratio` tokens }
///   write    = { tokens that a later entry reads }
///
/// Both plans are in ragged order: request after request. A record holds four numbers: the token's row in the batch,
/// its request, its position, and how many tokens of its window are before the batch. reference/plans/ has the rules,
/// and where they come from.
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_compress_prefill";

using layout::TokenPlan;
using Counts = tvm::ffi::Tuple<std::int64_t, std::int64_t>;

/// extend_lens and seq_lens are i64[B]. compress_plan and write_plan are u8[num_q, 16], and are written. Returns the
/// numbers of rows of both plans. Without `use_cuda_graph`, these are the numbers of records, and the other rows are
/// not written. With `use_cuda_graph`, both numbers are num_q, and the rows after the records become sentinels. A
/// kernel that gets the lengths on the device always makes plans of the second form, and its batch may have fewer than
/// num_q tokens. Throws a ValueError that names the argument.
Counts plan_compress_prefill(TensorView extend_lens, TensorView seq_lens, TensorView compress_plan,
                             TensorView write_plan, std::int64_t compress_ratio, bool is_overlap, bool use_cuda_graph) {
  const Numbers extend = numbers(kOp, "extend_lens", extend_lens);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, extend.size(0));
  const auto compress_rows = plan_bytes<TokenPlan, std::uint8_t>(kOp, "compress_plan", compress_plan);
  const auto write_rows = plan_bytes<TokenPlan, std::uint8_t>(kOp, "write_plan", write_plan);
  write_rows.expect_size(0, compress_rows.size(0));
  if (compress_ratio < 1) {
    refuse(kOp, "compress_ratio", "expected a positive number, got " + std::to_string(compress_ratio));
  }
  const auto batch = prefill_requests(kOp, seq, seq, extend, compress_rows.size(0), use_cuda_graph);  // no ids here

  auto [completed, kept] = plans::token_records(batch, {compress_ratio, is_overlap, 0});
  if (use_cuda_graph) {
    completed.resize(static_cast<std::size_t>(compress_rows.size(0)), layout::kNoToken);
    kept.resize(static_cast<std::size_t>(compress_rows.size(0)), layout::kNoToken);
  }
  const std::int64_t n_c = write_records(compress_rows, completed);
  return Counts(n_c, write_records(write_rows, kept));
}

}  // namespace

DSV4_ENTRY(plan_compress_prefill, plan_compress_prefill, "plan_compress_prefill", "plan_compress_prefill/1", "");

}  // namespace dsv4::reference
