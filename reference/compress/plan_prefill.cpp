/// Reference of `plan_prefill`, the V2 prefill plan over the sliding-window address.
///
///   compress = { tokens with (position + 1) mod ratio = 0 }
///   write    = { tokens with position >= min(first live row, length - pad),
///                or at ratio 4 in the last 4 of a cache page }
///
/// with pad = min(ring_size - ratio, 4). A verify step of up to 4 draft tokens may be taken back, and the rows that are
/// then needed must still be in the state. A plan depends on the batch alone, so the pad is the same for lengths on the
/// host and on a device.
#include "interface/entry.h"
#include "reference/compress/prefill_plan.h"
#include "reference/compress/state_address.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_prefill";

/// req_pool_indices, seq_lens, extend_lens: i64[B]; req_to_token: i32[requests, positions]; full_to_swa: i64[slots];
/// pin_buffer: u8, at least 24 bytes per query token (scratch that this reference does not use).
///
/// Returns (u8[n_c, 16] of CompressPlan, u8[n_w, 8] of WritePlan), in ragged order. The sizes are exact. With
/// `use_cuda_graph`, both plans have num_q_tokens rows, and sentinels are at the end. An empty pin_buffer asks for the
/// plan that a kernel makes from lengths on the device, which needs no scratch. That plan always has num_q_tokens rows,
/// and the batch need not fill them. Throws ValueError naming the argument.
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
  check_plan_size(kOp, ids.size(0), num_q_tokens, compress_ratio);
  if (!made_on_device) check_pin_buffer(kOp, pin, num_q_tokens);
  const SwaAddress address = swa_address(kOp, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size);
  check_lengths(kOp, seq, extend, num_q_tokens, made_on_device);

  const KeepRule rule{compress_ratio, std::min<std::int64_t>(ring_size - compress_ratio, 4), swa_page_size};
  return prefill_plan(ids, seq, extend, num_q_tokens, rule, address, use_cuda_graph || made_on_device);
}

}  // namespace

DSV4_ENTRY(plan_prefill, plan_prefill, "plan_prefill", "plan_prefill/1", "");

}  // namespace dsv4::reference
