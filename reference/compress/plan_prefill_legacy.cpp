/// Reference of `plan_prefill_legacy`: makes the V2 plans (interface/compress_plan.h) of a prefill batch. Each request
/// has its own ring of state rows.
///
///   compress = { tokens that complete a group of `ratio` tokens }
///   write    = { tokens that a later entry reads }
///
/// There are no cache pages, so no page tails are kept. Speculative decoding does not use these plans, so there is
/// no pad. reference/plans/ has the rules, and where they come from.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_prefill_legacy";

/// req_pool_indices, seq_lens and extend_lens are i64[B]. pin_buffer is u8 and has at least 24 bytes per query token.
/// Kernels use it for temporary data; this reference does not.
///
/// Returns two plans in ragged order: CompressPlan records, u8[n_c, 16], and WritePlan records, u8[n_w, 8]. Without
/// `use_cuda_graph`, the plans have no other rows. With `use_cuda_graph`, both plans have num_q_tokens rows, and the
/// rows after the records are sentinels (marked as empty). In both cases, the batch must have exactly num_q_tokens
/// tokens. Throws a ValueError that names the argument.
tvm::ffi::Tuple<Tensor, Tensor> plan_prefill_legacy(TensorView req_pool_indices, TensorView seq_lens,
                                                    TensorView extend_lens, TensorView pin_buffer,
                                                    std::int64_t num_q_tokens, std::int64_t compress_ratio,
                                                    bool use_cuda_graph) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  const Numbers extend = numbers(kOp, "extend_lens", extend_lens).expect_size(0, ids.size(0));
  const View<const std::uint8_t, 1> pin(kOp, "pin_buffer", pin_buffer);
  RequestRows rows(kOp, compress_ratio);
  check_prefill_size(kOp, ids.size(0), num_q_tokens, pin, num_q_tokens);
  const auto batch = prefill_requests(kOp, ids, seq, extend, num_q_tokens, false);

  return prefill_tensors(plans::prefill_records(batch, compress_ratio, plans::Keeping{}, rows),
                         use_cuda_graph ? num_q_tokens : -1);
}

}  // namespace

DSV4_ENTRY(plan_prefill_legacy, plan_prefill_legacy, "plan_prefill_legacy", "plan_prefill_legacy/1", "");

}  // namespace dsv4::reference
