/// plan_compress_online_prefill: makes the online plans (V1, interface/compress_plan.h) of a prefill batch, in host
/// memory. A V1 plan names tokens by request and position. It has no slots.
///
///     plan_compress_online_prefill(extend_lens, seq_lens, compress_plan, write_plan, use_cuda_graph) -> (n_c, n_w)
///
/// | argument              | shape       | dtype | |
/// |-----------------------|-------------|-------|-|
/// | extend_lens, seq_lens | [B]         | int64 | per request: its tokens in the batch, and its length |
/// | compress_plan         | [num_q, 16] | uint8 | out: TokenPlan of each segment that completes its group |
/// | write_plan            | [num_q, 16] | uint8 | out: TokenPlan of each segment whose group stays open |
///
/// All tensors are on the host. A segment is a run of new tokens of one request in one group of 128 tokens. Both plans
/// are in token order. Each of extend_lens must be from 1 to the request's length, and their sum must be num_q. Without
/// use_cuda_graph, n_c and n_w are the numbers of plan rows in use, and the other rows are not written. With
/// use_cuda_graph, the other rows become sentinels (they are marked as empty), and n_c and n_w are num_q.

#include <tvm/ffi/container/tuple.h>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/compress/host_lengths.h"
#include "kernels/compress/online_segments.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;
using Counts = ::tvm::ffi::Tuple<std::int64_t, std::int64_t>;

Counts plan(TensorView extend_lens, TensorView seq_lens, TensorView compress_plan, TensorView write_plan,
            bool use_cuda_graph) {
  ArgumentCheck check("plan_compress_online_prefill");
  Size requests("requests"), rows("query tokens");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(TokenPlan));
  check.tensor("extend_lens", extend_lens).dtype({kInt64}).shape({requests}).on_host().contiguous();
  check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).on_host().contiguous();
  for (const auto& [name, tensor] : {std::pair{"compress_plan", &compress_plan}, {"write_plan", &write_plan}}) {
    check.tensor(name, *tensor).dtype({kUint8}).shape({rows, kBytes}).on_host().contiguous().aligned(kBytes);
  }
  check.require(rows.value() <= 0x7FFFFFFF, "compress_plan", "must have at most 2^31 - 1 rows, got ", rows.value());
  const auto* lengths = data_of<const std::int64_t>(seq_lens);
  const auto* new_tokens = data_of<const std::int64_t>(extend_lens);
  check_host_lengths(check, lengths, new_tokens, requests.value(), rows.value());

  auto* complete = data_of<TokenPlan>(compress_plan);
  auto* open = data_of<TokenPlan>(write_plan);
  std::int64_t n_c = 0, n_w = 0;
  for_each_segment(lengths, new_tokens, requests.value(), [&](const OnlineSegment& s) {
    (s.completes ? complete[n_c++] : open[n_w++]) = {
        static_cast<std::uint32_t>(s.last), static_cast<std::uint32_t>(s.request),
        static_cast<std::uint32_t>(s.position), static_cast<std::uint32_t>(s.tokens)};
  });
  while (use_cuda_graph && n_c < rows.value()) complete[n_c++] = layout::kNoToken;
  while (use_cuda_graph && n_w < rows.value()) open[n_w++] = layout::kNoToken;
  return Counts(n_c, n_w);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_compress_online_prefill, dsv4::plan, "plan_compress_online_prefill", "plan_compress_online_prefill/1",
           "");
