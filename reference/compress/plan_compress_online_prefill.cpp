/// Reference of `plan_compress_online_prefill`: makes the V1 online plans (interface/compress_plan.h) of a
/// prefill batch.
///
///   compress = { segments that complete a group of 128 tokens }
///   write    = { segments of groups that stay open }
///
/// A segment is a run of new tokens of one request in one group (reference/plans/segments.h). The plans say nothing
/// about slots. The rules are those of sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128_online.cuh:626-685.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"
#include "reference/plans/segments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_compress_online_prefill";

using layout::TokenPlan;
using Counts = tvm::ffi::Tuple<std::int64_t, std::int64_t>;

/// extend_lens and seq_lens are i64[B]. compress_plan and write_plan are u8[num_q, 16], and are written. Returns the
/// numbers of rows of both plans. Without `use_cuda_graph`, these are the numbers of records, and the other rows are
/// not written. With `use_cuda_graph`, both numbers are num_q, and the rows after the records become sentinels. Throws
/// a ValueError that names the argument.
Counts plan_compress_online_prefill(TensorView extend_lens, TensorView seq_lens, TensorView compress_plan,
                                    TensorView write_plan, bool use_cuda_graph) {
  const Numbers extend = numbers(kOp, "extend_lens", extend_lens);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, extend.size(0));
  const auto compress_rows = plan_bytes<TokenPlan, std::uint8_t>(kOp, "compress_plan", compress_plan);
  const auto write_rows = plan_bytes<TokenPlan, std::uint8_t>(kOp, "write_plan", write_plan);
  const std::int64_t rows = compress_rows.size(0);
  write_rows.expect_size(0, rows);

  auto [complete, open] = plans::online_token_records(prefill_requests(kOp, seq, seq, extend, rows, false));
  if (use_cuda_graph) {
    complete.resize(static_cast<std::size_t>(rows), layout::kNoToken);
    open.resize(static_cast<std::size_t>(rows), layout::kNoToken);
  }
  const std::int64_t n_c = write_records(compress_rows, complete);
  return Counts(n_c, write_records(write_rows, open));
}

}  // namespace

DSV4_ENTRY(plan_compress_online_prefill, plan_compress_online_prefill, "plan_compress_online_prefill",
           "plan_compress_online_prefill/1", "");

}  // namespace dsv4::reference
