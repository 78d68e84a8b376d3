/// compress_c4_prefill_v1: makes the compressed entries that a prefill batch completes. Then it stores in the state the
/// rows of the tokens that are kept.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra?)
///
/// | argument      | shape          | dtype   | |
/// |---------------|----------------|---------|-|
/// | kv_buffer     | [n, 4, 4H] with extra, else [n, 8, 4H] | float32 | in place; H is 128 or 512 |
/// | kv_input      | [N, 4H]        | float32 | rows of the tokens: kv overlap, kv own, score overlap, score own |
/// | kv_output     | [N, H]         | float32 | out; the row of each token that completes an entry is written |
/// | ape           | [8, H]         | float32 | bias of the scores for each place in the window |
/// | indices       | [B]            | int32   | page of the newest token's group, or the request's ring |
/// | compress_plan | [n_c, 16]      | uint8   | TokenPlan, n_c <= N |
/// | write_plan    | [n_w, 16]      | uint8   | TokenPlan, n_w <= N |
/// | extra         | [B, 4] or None | int32   | for each request: the pages of the group before that of its newest old
///                                              token, of that token's group, and of the group before the newest
///                                              token's group; then the first position of the newest token's group |
///
/// The kernel computes what compress_c4_prefill computes, except for the score of the places before a request's first
/// token: it is -1e9. All tensors are contiguous, on the same device, and aligned to 16 bytes; indices needs no
/// alignment. With extra, the token at position p is in row p mod 4 of its group's page. Without extra, it is in row
/// p mod 8 of its request's ring.
///
/// Plans and pages are on the device, so the host cannot check them. Like a sentinel, a row of a plan is skipped if it
/// names a token or a request outside the batch, or a page that it needs and the state does not have. So is a row of
/// the compress plan whose position does not end a group.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/compress/c4_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c4_prefill_v1";

/// The pages of a request, a row of `extra`.
struct alignas(16) RequestPages {
  std::int32_t load_before;
  std::int32_t load;
  std::int32_t write_before;
  std::int32_t newest_group;  ///< position of the first token of the newest token's group
};

struct V1Params {
  OfflineTensors tensors;
  const std::int32_t* indices;
  const RequestPages* extra;  ///< null: `indices` are rings
  const layout::TokenPlan* compress_plan;
  const layout::TokenPlan* write_plan;
  std::int64_t requests;
  std::uint32_t entries;
  std::uint32_t writes;
};

/// True if the record's request is in the batch. A sentinel has no request.
DSV4_DEVICE bool has_request(const V1Params& p, const layout::TokenPlan& plan) { return plan.batch_id < p.requests; }

template <int kHeadDim, bool kRings>
__global__ void __launch_bounds__(kC4Threads, 4) compress_kernel(const __grid_constant__ V1Params p) {
  const C4Place<kHeadDim> place;
  wait_for_previous_kernel();
  if (place.unit >= p.entries) return;
  const layout::TokenPlan plan = p.compress_plan[place.unit];
  // An entry is written to the row of its token, also if all of its window comes from the state.
  if (!has_request(p, plan) || plan.ragged_id >= p.tensors.tokens || plan.position % kGroup != kGroup - 1) return;
  C4Pages pages;
  if constexpr (kRings) {
    pages = pages_of_ring(p.indices[plan.batch_id], plan.position);
  } else {
    // If the own group is all in the batch, the newest old token is in the group before.
    const RequestPages request = p.extra[plan.batch_id];
    pages = {plan.window_len <= kGroup ? request.load : request.load_before, request.load};
  }
  const C4Lane<kHeadDim> lane{p.tensors, place};
  lane.compress(plan.ragged_id, plan.ragged_id, plan.position < kGroup, plan.window_len, pages, kAbsentScoreV1);
}

template <int kHeadDim, bool kRings>
__global__ void __launch_bounds__(kC4Threads) write_kernel(const __grid_constant__ V1Params p) {
  const C4Place<kHeadDim> place;
  wait_for_previous_kernel();
  if (place.unit >= p.writes) return;
  const layout::TokenPlan plan = p.write_plan[place.unit];
  if (!has_request(p, plan)) return;
  std::int64_t page = p.indices[plan.batch_id];
  if constexpr (kRings) {
    page = pages_of_ring(page, plan.position).group;
  } else {
    const RequestPages request = p.extra[plan.batch_id];
    if (plan.position < static_cast<std::uint32_t>(request.newest_group)) page = request.write_before;
  }
  const C4Lane<kHeadDim> lane{p.tensors, place};
  lane.keep(plan.ragged_id, page * kGroup + plan.position % kGroup);
}

template <int kHeadDim, bool kRings>
void launch(const V1Params& params, DLDevice device) {
  launch_c4<kHeadDim>(kOp, device, params.entries, compress_kernel<kHeadDim, kRings>, params);
  launch_c4<kHeadDim>(kOp, device, params.writes, write_kernel<kHeadDim, kRings>, params);
}

template <int kHeadDim>
void launch(const V1Params& params, DLDevice device) {
  params.extra == nullptr ? launch<kHeadDim, true>(params, device) : launch<kHeadDim, false>(params, device);
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, ::tvm::ffi::Optional<TensorView> extra) {
  ArgumentCheck check(kOp);
  Size tokens("tokens"), requests("requests");
  const OfflineTensors t = check_c4_v1_tensors(check, kv_buffer, kv_input, kv_output, ape, tokens, extra.has_value());
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  if (extra.has_value()) {
    check.tensor("extra", *extra)
        .dtype({kInt32})
        .shape({requests, 4})
        .on_cuda()
        .contiguous()
        .aligned(sizeof(RequestPages));
  }
  const std::uint32_t entries = check_token_plan(check, "compress_plan", compress_plan, tokens),
                      writes = check_token_plan(check, "write_plan", write_plan, tokens);

  const V1Params params{.tensors = t,
                        .indices = data_of<const std::int32_t>(indices),
                        .extra = extra.has_value() ? data_of<const RequestPages>(*extra) : nullptr,
                        .compress_plan = data_of<const layout::TokenPlan>(compress_plan),
                        .write_plan = data_of<const layout::TokenPlan>(write_plan),
                        .requests = requests.value(),
                        .entries = entries,
                        .writes = writes};
  t.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c4_prefill_v1", "compress_c4_prefill_v1/1", "dtype=f32;head_dim=128|512");
