/// Reference of `plan_prefill`: makes the V2 plans (interface/compress_plan.h) of a prefill batch. The state row of a
/// token follows from its slot in the sliding-window cache.
///
///   compress = { tokens that complete a group of `ratio` tokens }
///   write    = { tokens that a later entry reads; the last `pad` tokens; at ratio 4, the last 4 of each cache page }
///
/// with pad = min(ring_size - ratio, 4). Speculative decoding may reject up to 4 draft tokens in one step. Then it
/// needs earlier rows again, so these rows must still be in the state. A plan depends on the batch alone. So the pad is
/// the same for lengths on the host and for lengths on the device. reference/plans/ has the rules, and where they come
/// from.
#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_prefill";

/// req_pool_indices, seq_lens and extend_lens are i64[B], req_to_token is i32[requests, positions], and full_to_swa is
/// i64[slots]. pin_buffer is u8 and has at least 24 bytes per query token. Kernels use it for temporary data; this
/// reference does not.
///
/// Returns two plans in ragged order: CompressPlan records, u8[n_c, 16], and WritePlan records, u8[n_w, 8]. Without
/// `use_cuda_graph`, the plans have no other rows. With `use_cuda_graph`, both plans have num_q_tokens rows, and the
/// rows after the records are sentinels (marked as empty). With lengths on the device, a kernel does not need
/// pin_buffer. So an empty pin_buffer tells this reference to make the plans of that case: they always have
/// num_q_tokens rows, and the batch may have fewer tokens. Throws a ValueError that names the argument.
tvm::ffi::Tuple<Tensor, Tensor> plan_prefill(TensorView req_pool_indices, TensorView req_to_token,
                                             TensorView full_to_swa, TensorView seq_lens, TensorView extend_lens,
                                             TensorView pin_buffer, std::int64_t num_q_tokens,
                                             std::int64_t compress_ratio, std::int64_t swa_page_size,
                                             std::int64_t ring_size, bool use_cuda_graph) {
  const Numbers ids = numbers(kOp, "req_pool_indices", req_pool_indices);
  const Numbers seq = numbers(kOp, "seq_lens", seq_lens).expect_size(0, ids.size(0));
  const Numbers extend = numbers(kOp, "extend_lens", extend_lens).expect_size(0, ids.size(0));
  const View<const std::uint8_t, 1> pin(kOp, "pin_buffer", pin_buffer);
  const bool made_on_device = pin.size(0) == 0;
  check_prefill_size(kOp, ids.size(0), num_q_tokens, pin, made_on_device ? 0 : num_q_tokens);
  CacheRows rows(kOp, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size);
  const auto batch = prefill_requests(kOp, ids, seq, extend, num_q_tokens, made_on_device);

  const plans::Keeping keeping{plans::last_kept(ring_size, compress_ratio), swa_page_size};
  return prefill_tensors(plans::prefill_records(batch, compress_ratio, keeping, rows),
                         use_cuda_graph || made_on_device ? num_q_tokens : -1);
}

}  // namespace

DSV4_ENTRY(plan_prefill, plan_prefill, "plan_prefill", "plan_prefill/1", "");

}  // namespace dsv4::reference
