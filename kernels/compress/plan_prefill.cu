/// plan_prefill: makes the V2 plan of a prefill batch, with state rows that follow the sliding-window cache.
///
///     plan_prefill(req_pool_indices, req_to_token, full_to_swa, seq_lens, extend_lens, pin_buffer, num_q_tokens,
///                  compress_ratio, swa_page_size, ring_size, use_cuda_graph) -> (plan_c, plan_w)
///
/// | argument              | shape            | dtype | |
/// |-----------------------|------------------|-------|-|
/// | req_pool_indices      | [B]              | int64 | row of each request in req_to_token |
/// | req_to_token          | [requests, T]    | int32 | cache slot of each position |
/// | full_to_swa           | [slots]          | int64 | slot in the sliding-window cache of each cache slot |
/// | seq_lens, extend_lens | [B]              | int64 | length of each request, and how much of it is in the batch |
/// | pin_buffer            | [>= 24 num_q]    | uint8 | host scratch, pinned |
/// | plan_c                | [n_c, 16]        | uint8 | returned: CompressPlan of each token that completes an entry |
/// | plan_w                | [n_w, 8]         | uint8 | returned: WritePlan of each token whose row is kept |
///
/// seq_lens and extend_lens are both on the device, or both on the host. With lengths on the device, pin_buffer is not
/// used and may be empty.
///
/// B <= num_q_tokens <= 65535. compress_ratio is 4 or 128. It divides ring_size, which divides swa_page_size. The
/// tokens from position min(first live position, length - pad) on are kept, with
/// pad = min(ring_size - compress_ratio, 4). At ratio 4 the last four tokens of each cache page are kept as well.
/// Both plans are in token order.
///
/// Lengths on the host are checked: each extend must lie in 1 ... length, and their sum must be num_q_tokens. The plans
/// then have exact sizes, unless use_cuda_graph is set. With use_cuda_graph, or with lengths on the device, both plans
/// have num_q_tokens rows, and sentinels are at their end. On the device, a request may have no token, and tokens that
/// the lengths claim beyond num_q_tokens are left out.

#include "interface/entry.h"
#include "kernels/compress/prefill_plan.cuh"
#include "kernels/compress/state_address.cuh"

namespace dsv4 {
namespace {

/// Largest number of draft tokens that a verify step may take back.
constexpr std::int64_t kMaxDraftTokens = 4;

PrefillPlans plan_prefill(TensorView req_pool_indices, TensorView req_to_token, TensorView full_to_swa,
                          TensorView seq_lens, TensorView extend_lens, TensorView pin_buffer, std::int64_t num_q_tokens,
                          std::int64_t compress_ratio, std::int64_t swa_page_size, std::int64_t ring_size,
                          bool use_cuda_graph) {
  ArgumentCheck check("plan_prefill");
  check_ratio(check, compress_ratio);
  const SwaAddress address = swa_address(check, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size);
  const PrefillPlanCall call = check_prefill_call(check, "plan_prefill", req_pool_indices, seq_lens, extend_lens,
                                                  pin_buffer, num_q_tokens, use_cuda_graph, /*device_lengths=*/true);
  const bool overlapping = compress_ratio == 4;
  const SetRule rule{.ratio = static_cast<std::int32_t>(compress_ratio),
                     .overlap = overlapping ? 4 : 0,
                     .pad = static_cast<std::int32_t>(std::min(ring_size - compress_ratio, kMaxDraftTokens)),
                     .tail_page = overlapping ? static_cast<std::int32_t>(swa_page_size) : 0};
  return make_prefill_plans(check, call, rule, address);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_prefill, dsv4::plan_prefill, "plan_prefill", "plan_prefill/1", "");
