/// plan_compress_prefill: makes the plans (V1, interface/compress_plan.h) of a prefill batch. A V1 plan names tokens by
/// request and position. It has no state rows.
///
///     plan_compress_prefill(extend_lens, seq_lens, compress_plan, write_plan, compress_ratio, is_overlap,
///                           use_cuda_graph) -> (n_c, n_w)
///
/// | argument              | shape       | dtype | |
/// |-----------------------|-------------|-------|-|
/// | extend_lens, seq_lens | [B]         | int64 | per request: its tokens in the batch, and its length |
/// | compress_plan         | [num_q, 16] | uint8 | out: TokenPlan of each token that completes an entry |
/// | write_plan            | [num_q, 16] | uint8 | out: TokenPlan of each token that is kept |
///
/// The tokens of the open group are kept: those after the last complete group of compress_ratio tokens. With
/// is_overlap, the tokens of the last complete group are also kept.
///
/// All four tensors are on the device, or all are on the host. Both plans are in token order.
///
/// Lengths on the host are checked: each of extend_lens must be from 1 to the request's length, and the sum of
/// extend_lens must be num_q. Without use_cuda_graph, n_c and n_w are the numbers of plan rows in use, and the other
/// rows are not written. With use_cuda_graph, the other rows become sentinels (they are marked as empty), and n_c and
/// n_w are num_q.
///
/// With tensors on the device, the call always works as with use_cuda_graph. A request may have no token in the batch.
/// If the sum of extend_lens is larger than num_q, the tokens after the first num_q get no plan entry.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/launch.h"
#include "kernels/compress/host_lengths.h"
#include "kernels/compress/plan_rows.cuh"

namespace dsv4 {
namespace {

using layout::TokenPlan;
using Counts = ::tvm::ffi::Tuple<std::int64_t, std::int64_t>;

/// Writes the rows of both plans.
struct TokenPlanWriter {
  TokenPlan* compress;
  TokenPlan* write;
  std::uint32_t entry_rows;
  std::uint32_t kept_rows;

  DSV4_DEVICE static TokenPlan plan_of(const PlanToken& token) {
    return {token.ragged, static_cast<std::uint32_t>(token.request), static_cast<std::uint32_t>(token.position),
            static_cast<std::uint32_t>(token.window_before_batch)};
  }
  DSV4_DEVICE static TokenPlan none() {
    return {layout::kNoEntry, layout::kNoEntry, layout::kNoEntry, layout::kNoEntry};
  }
  DSV4_DEVICE void entry(std::uint32_t row, const PlanToken& token) const { compress[row] = plan_of(token); }
  DSV4_DEVICE void no_entry(std::uint32_t row) const { compress[row] = none(); }
  DSV4_DEVICE void kept(std::uint32_t row, const PlanToken& token) const { write[row] = plan_of(token); }
  DSV4_DEVICE void not_kept(std::uint32_t row) const { write[row] = none(); }
};

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    token_plan_kernel(const __grid_constant__ PlanBatch batch, const __grid_constant__ TokenPlanWriter writer) {
  wait_for_previous_kernel();
  fill_plan_row<kThreads>(batch, blockIdx.x * kThreads + threadIdx.x, writer);
}

/// Makes the plans in host memory. Returns n_c and n_w.
Counts plan_on_host(const std::int64_t* seq_lens, const std::int64_t* extend_lens, std::int64_t requests,
                    const SetRule& rule, TokenPlan* compress, TokenPlan* write, std::int64_t rows, bool padded) {
  std::int64_t n_c = 0, n_w = 0;
  std::uint32_t base = 0;
  for (std::int64_t b = 0; b < requests; ++b) {
    const RequestSets sets = request_sets(rule, seq_lens[b], extend_lens[b]);
    const auto plan_of = [&](std::int32_t position) {
      return TokenPlan{base + static_cast<std::uint32_t>(position - sets.prefix), static_cast<std::uint32_t>(b),
                       static_cast<std::uint32_t>(position),
                       static_cast<std::uint32_t>(sets.window_before_batch(position))};
    };
    for (std::int32_t k = 0; k < sets.entries; ++k) compress[n_c++] = plan_of(sets.entry_position(k));
    for (std::int32_t k = 0; k < sets.kept; ++k) write[n_w++] = plan_of(sets.kept_position(k));
    base += static_cast<std::uint32_t>(sets.tokens);
  }
  if (padded) {
    while (n_c < rows) compress[n_c++] = layout::kNoToken;
    while (n_w < rows) write[n_w++] = layout::kNoToken;
  }
  return Counts(n_c, n_w);
}

Counts plan_compress_prefill(TensorView extend_lens, TensorView seq_lens, TensorView compress_plan,
                             TensorView write_plan, std::int64_t compress_ratio, bool is_overlap, bool use_cuda_graph) {
  ArgumentCheck check("plan_compress_prefill");
  Size requests("requests"), rows("query tokens");
  const bool on_host = extend_lens.device().device_type != kDLCUDA;
  const auto placed = [&](TensorCheck tensor) { on_host ? tensor.on_host() : tensor.on_cuda(); };
  placed(check.tensor("extend_lens", extend_lens).dtype({kInt64}).shape({requests}).contiguous());
  placed(check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).contiguous());
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(TokenPlan));
  placed(check.tensor("compress_plan", compress_plan).dtype({kUint8}).shape({rows, kBytes}).contiguous().aligned(16));
  placed(check.tensor("write_plan", write_plan).dtype({kUint8}).shape({rows, kBytes}).contiguous().aligned(16));
  check.require(compress_ratio > 0 && compress_ratio <= 0x3FFFFFFF, "compress_ratio", "must lie in [1, 2^30 - 1], got ",
                compress_ratio);
  check.require(rows.value() <= 0x7FFFFFFF, "compress_plan", "at most 2^31 - 1 rows are supported, got ", rows.value());
  check.require(requests.value() <= 0x7FFFFFFF, "extend_lens", "at most 2^31 - 1 requests are supported, got ",
                requests.value());

  const auto ratio = static_cast<std::int32_t>(compress_ratio);
  const SetRule rule{.ratio = ratio, .overlap = is_overlap ? ratio : 0, .pad = 0, .tail_page = 0};
  const auto* seq = data_of<const std::int64_t>(seq_lens);
  const auto* extend = data_of<const std::int64_t>(extend_lens);
  auto* compress = data_of<TokenPlan>(compress_plan);
  auto* write = data_of<TokenPlan>(write_plan);
  if (on_host) {
    check_host_lengths(check, seq, extend, requests.value(), rows.value());
    return plan_on_host(seq, extend, requests.value(), rule, compress, write, rows.value(), use_cuda_graph);
  }
  if (rows.value() == 0) return Counts(std::int64_t{0}, std::int64_t{0});
  const PlanBatch batch{seq, extend, static_cast<std::int32_t>(requests.value()),
                        static_cast<std::uint32_t>(rows.value()), rule};
  const TokenPlanWriter writer{compress, write, batch.query_tokens, batch.query_tokens};
  const auto blocks = ceil_div<std::int64_t>(rows.value(), kThreads);
  Launch{.name = "plan_compress_prefill",
         .device = check.device(),
         .grid = grid_of(blocks, "plan_compress_prefill"),
         .block = dim3(kThreads)}(token_plan_kernel, batch, writer);
  return Counts(rows.value(), rows.value());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_compress_prefill, dsv4::plan_compress_prefill, "plan_compress_prefill", "plan_compress_prefill/1", "");
