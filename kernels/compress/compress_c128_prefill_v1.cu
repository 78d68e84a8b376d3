/// compress_c128_prefill_v1: makes the compressed entries at ratio 128 that a prefill batch completes. Then it stores
/// in the state the rows of the tokens that are kept.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra?)
///
/// | argument      | shape            | dtype   | |
/// |---------------|------------------|---------|-|
/// | kv_buffer     | [pages, 128, 2H] | float32 | in place; H is 128 or 512 |
/// | kv_input      | [N, 2H]          | float32 | rows of the batch's tokens: kv, score |
/// | kv_output     | [N, H]           | float32 | out; the row of each token that completes an entry is written |
/// | ape           | [128, H]         | float32 | bias of the scores for each place in the window |
/// | indices       | [B]              | int32   | page of the newest token's group, or the request's ring |
/// | compress_plan | [n_c, 16]        | uint8   | TokenPlan, n_c <= N; position is not used |
/// | write_plan    | [n_w, 16]        | uint8   | TokenPlan, n_w <= N; window_len is not used |
/// | extra         | [B] or None      | int32   | page of the newest old token's group, from which rows are read; None:
///                                               rows are read from the pages of `indices` |
///
/// The kernel computes what compress_c128_prefill computes. All tensors are contiguous, on the same device, and aligned
/// to 8 bytes, plans to 16; indices and extra need no alignment. The token at position p is in row p mod 128 of its
/// group's page. A ring of a request has as many rows as a page.
///
/// Plans and pages are on the device, so the host cannot check them. Like a sentinel, a row of a plan is skipped if it
/// names a token or a request outside the batch, or a page that it needs and the state does not have.

#include "interface/entry.h"
#include "kernels/compress/c128_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c128_prefill_v1";

struct V1Params {
  OfflineTensors tensors;
  const std::int32_t* write_pages;
  const std::int32_t* load_pages;
  const layout::TokenPlan* compress_plan;
  const layout::TokenPlan* write_plan;
  std::int64_t requests;
  std::uint32_t entries;
  std::uint32_t writes;
};

/// True if the record's request is in the batch. A sentinel has no request.
DSV4_DEVICE bool has_request(const V1Params& p, const layout::TokenPlan& plan) { return plan.batch_id < p.requests; }

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, 2) compress_kernel(const __grid_constant__ V1Params p) {
  const C128Place<kHeadDim> place;
  wait_for_previous_kernel();
  const layout::TokenPlan plan = p.compress_plan[place.unit];
  // An entry is written to the row of its token, also if all of its window comes from the state.
  if (!has_request(p, plan) || plan.ragged_id >= p.tensors.tokens) return;
  const C128Thread<kHeadDim> thread{p.tensors, place};
  thread.compress(plan.ragged_id, plan.ragged_id, plan.window_len, p.load_pages[plan.batch_id]);
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWriteThreads) write_kernel(const __grid_constant__ V1Params p) {
  const C128Copy<kHeadDim> copy;
  wait_for_previous_kernel();
  if (copy.unit >= p.writes) return;
  const layout::TokenPlan plan = p.write_plan[copy.unit];
  if (!has_request(p, plan)) return;
  const std::int64_t page = p.write_pages[plan.batch_id];
  copy.keep(p.tensors, plan.ragged_id, page * kGroup + plan.position % kGroup);
}

template <int kHeadDim>
void launch(const V1Params& params, DLDevice device) {
  launch_c128<kHeadDim>(kOp, device, params.entries, compress_kernel<kHeadDim>, params);
  launch_c128_copy<kHeadDim>(kOp, device, params.writes, write_kernel<kHeadDim>, params);
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, ::tvm::ffi::Optional<TensorView> extra) {
  ArgumentCheck check(kOp);
  Size tokens("tokens"), requests("requests");
  const OfflineTensors t = check_offline_tensors(check, kC128Form, kv_buffer, kv_input, kv_output, ape, tokens, tokens);
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  if (extra.has_value()) check.tensor("extra", *extra).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  const std::uint32_t entries = check_token_plan(check, "compress_plan", compress_plan, tokens),
                      writes = check_token_plan(check, "write_plan", write_plan, tokens);

  const V1Params params{.tensors = t,
                        .write_pages = data_of<const std::int32_t>(indices),
                        .load_pages = data_of<const std::int32_t>(extra.has_value() ? *extra : indices),
                        .compress_plan = data_of<const layout::TokenPlan>(compress_plan),
                        .write_plan = data_of<const layout::TokenPlan>(write_plan),
                        .requests = requests.value(),
                        .entries = entries,
                        .writes = writes};
  t.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_prefill_v1", "compress_c128_prefill_v1/1",
           "dtype=f32;head_dim=128|512");
