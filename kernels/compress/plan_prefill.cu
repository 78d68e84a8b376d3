/// plan_prefill: makes the plans (V2, interface/compress_plan.h) of a prefill batch. The state row of a token is
/// computed from its slot in the sliding-window cache.
///
///     plan_prefill(req_pool_indices, req_to_token, full_to_swa, seq_lens, extend_lens, pin_buffer, num_q_tokens,
///                  compress_ratio, swa_page_size, ring_size, use_cuda_graph) -> (plan_c, plan_w)
///
/// | argument              | shape            | dtype | |
/// |-----------------------|------------------|-------|-|
/// | req_pool_indices      | [B]              | int64 | row of each request in req_to_token |
/// | req_to_token          | [requests, T]    | int32 | cache slot of each position |
/// | full_to_swa           | [slots]          | int64 | for each cache slot, its slot in the sliding-window cache |
/// | seq_lens, extend_lens | [B]              | int64 | length of each request, and number of its tokens in the batch |
/// | pin_buffer            | [>= 24 num_q]    | uint8 | pinned host memory for temporary data |
/// | plan_c                | [n_c, 16]        | uint8 | returned: CompressPlan of each token that completes an entry |
/// | plan_w                | [n_w, 8]         | uint8 | returned: WritePlan of each token whose row is kept |
///
/// seq_lens and extend_lens are both on the device, or both on the host. If they are on the device, pin_buffer is not
/// used and may be empty.
///
/// B <= num_q_tokens <= 65535. compress_ratio is 4 or 128. ring_size is a multiple of compress_ratio, and swa_page_size
/// is a multiple of ring_size. Both plans are in token order.
///
/// The tokens of the batch at or after position min(live, length - pad) are kept. Here pad = min(ring_size -
/// compress_ratio, 4), and `live` is the first position that a later entry still reads: length rounded down to a
/// multiple of the ratio, minus 4 at ratio 4. At ratio 4, the last four tokens of each cache page are also kept.
///
/// Lengths on the host are checked: each of extend_lens must be from 1 to the request's length, and the sum of
/// extend_lens must be num_q_tokens. Then the plans have only the rows that are needed, unless use_cuda_graph is set.
/// With use_cuda_graph, or with lengths on the device, both plans have num_q_tokens rows; unused rows are at the end
/// and are sentinels (marked as empty). With lengths on the device, a request may have no token in the batch. If the
/// sum of extend_lens is then larger than num_q_tokens, the tokens after the first num_q_tokens get no plan entry.
///
/// The maps are on the device, so the host cannot check their contents. If a request, a position or a slot is outside
/// its map, a sentinel takes the place of the token's rows. If only the previous group's token cannot be found, its
/// page is 0.

#include "interface/entry.h"
#include "kernels/compress/prefill_plan.cuh"
#include "kernels/compress/state_address.cuh"

namespace dsv4 {
namespace {

/// Largest number of draft tokens that speculative decoding may reject in one step.
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
