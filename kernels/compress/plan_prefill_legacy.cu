/// plan_prefill_legacy: makes the plans (V2, interface/compress_plan.h) of a prefill batch. Each request has its own
/// ring of state rows.
///
///     plan_prefill_legacy(req_pool_indices, seq_lens, extend_lens, pin_buffer, num_q_tokens, compress_ratio,
///                         use_cuda_graph) -> (plan_c, plan_w)
///
/// | argument              | shape         | dtype | |
/// |-----------------------|---------------|-------|-|
/// | req_pool_indices      | [B]           | int64 | number of each request's ring of state rows |
/// | seq_lens, extend_lens | [B]           | int64 | on the host, per request: length, and tokens in the batch |
/// | pin_buffer            | [>= 24 num_q] | uint8 | pinned host memory for temporary data |
/// | plan_c                | [n_c, 16]     | uint8 | returned: CompressPlan of each token that completes an entry |
/// | plan_w                | [n_w, 8]      | uint8 | returned: WritePlan of each token that a later entry still reads |
///
/// The ring of a request has 8 rows (two state pages) at ratio 4, and 128 rows (one page) at ratio 128. Both plans are
/// in token order. They have only the rows that are needed, unless use_cuda_graph is set. With use_cuda_graph, both
/// plans have num_q_tokens rows; unused rows are at the end and are sentinels (marked as empty).

#include "interface/entry.h"
#include "kernels/compress/prefill_plan.cuh"
#include "kernels/compress/state_address.cuh"

namespace dsv4 {
namespace {

PrefillPlans plan_prefill_legacy(TensorView req_pool_indices, TensorView seq_lens, TensorView extend_lens,
                                 TensorView pin_buffer, std::int64_t num_q_tokens, std::int64_t compress_ratio,
                                 bool use_cuda_graph) {
  ArgumentCheck check("plan_prefill_legacy");
  check_ratio(check, compress_ratio);
  const PrefillPlanCall call = check_prefill_call(check, "plan_prefill_legacy", req_pool_indices, seq_lens, extend_lens,
                                                  pin_buffer, num_q_tokens, use_cuda_graph, /*device_lengths=*/false);
  const SetRule rule{.ratio = static_cast<std::int32_t>(compress_ratio),
                     .overlap = compress_ratio == 4 ? 4 : 0,
                     .pad = 0,
                     .tail_page = 0};
  return make_prefill_plans(check, call, rule, ring_address(compress_ratio));
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_prefill_legacy, dsv4::plan_prefill_legacy, "plan_prefill_legacy", "plan_prefill_legacy/1", "");
