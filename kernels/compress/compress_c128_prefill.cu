/// compress_c128_prefill: makes the compressed entries at ratio 128 that a prefill batch completes. Then it stores in
/// the state the rows of the tokens that are kept.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, plan_c, plan_w)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [pages, 128, 2H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [N, 2H]          | float32 | rows of the batch's tokens: kv, score |
/// | kv_output | [n_c, H]         | float32 | out; row k belongs to plan_c[k] |
/// | ape       | [128, H]         | float32 | bias of the scores for each place in the window |
/// | plan_c    | [n_c, 16]        | uint8   | CompressPlan; read_page_0 is not used |
/// | plan_w    | [n_w, 8]         | uint8   | WritePlan, n_w <= N |
///
/// All tensors are contiguous, on the same device, and aligned to 8 bytes, plan_c to 16. An entry is made from the 128
/// tokens of a group; the last of them is the token that plan_c names. Each column of the entry is the mean of their
/// kv, weighted by the softmax of their scores. The first `buffer_len` of the tokens are read from the state as it was
/// before the call. Therefore the rows are written to the state by a second launch. Sentinels (plan rows that are
/// marked as empty) are skipped. The plans are on the device, so the host cannot check them. A row of a plan that names
/// a token outside the batch, or a row or page outside the state, is skipped like a sentinel.

#include "interface/entry.h"
#include "kernels/compress/c128_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c128_prefill";

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, 2) compress_kernel(const __grid_constant__ PrefillParams p) {
  const C128Place<kHeadDim> place;
  wait_for_previous_kernel();
  const layout::CompressPlan plan = p.plan_c[place.unit];
  if (plan.seq_len == layout::kNoEntry) return;
  const C128Thread<kHeadDim> thread{p, place};
  thread.compress(place.unit, plan.ragged_id, plan.buffer_len, plan.read_page_1);
}

template <int kHeadDim>
__global__ void __launch_bounds__(kWriteThreads) write_kernel(const __grid_constant__ PrefillParams p) {
  const C128Copy<kHeadDim> copy;
  wait_for_previous_kernel();
  if (copy.unit >= p.writes) return;
  const layout::WritePlan plan = p.plan_w[copy.unit];  // a sentinel names no token of the batch
  copy.keep(p, plan.ragged_id, plan.write_loc);
}

template <int kHeadDim>
void launch(const PrefillParams& params, DLDevice device) {
  launch_c128<kHeadDim>(kOp, device, params.entries, compress_kernel<kHeadDim>, params);
  launch_c128_copy<kHeadDim>(kOp, device, params.writes, write_kernel<kHeadDim>, params);
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  ArgumentCheck check(kOp);
  const PrefillParams params = check_prefill(check, kC128Form, kv_buffer, kv_input, kv_output, ape, plan_c, plan_w);
  params.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_prefill", "compress_c128_prefill/1", "dtype=f32;head_dim=128|512");
