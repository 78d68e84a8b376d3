/// compress_c128_online_prefill_v1: merges the segments of a prefill batch with the running softmaxes of their groups
/// of 128 tokens. Segments that complete their group give compressed entries. The others are stored in the state.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra?)
///
/// | argument      | shape            | dtype   | |
/// |---------------|------------------|---------|-|
/// | kv_buffer     | [slots, 1, 1536] | float32 | in place: largest score, sum of the weights, mean of kv |
/// | kv_input      | [N, 1024]        | float32 | rows of the batch's tokens: kv, score |
/// | kv_output     | [N, 512]         | float32 | out; the row of the last token of each segment of compress_plan |
/// | ape           | [128, 512]       | float32 | bias of the scores for each place in the group |
/// | indices       | [B]              | int32   | slot in which the open group of each request is stored |
/// | compress_plan | [n_c, 16]        | uint8   | TokenPlan of each segment that completes its group |
/// | write_plan    | [n_w, 16]        | uint8   | TokenPlan of each segment whose group stays open |
/// | extra         | [B] or None      | int32   | slot of the earlier tokens of each request; None: `indices` |
///
/// The kernel computes what compress_c128_online_prefill computes. Here `window_len` of a TokenPlan is the number of
/// tokens of the segment. All tensors are contiguous and on the same device. All but `indices` and `extra` are aligned
/// to 16 bytes. The segments of compress_plan read the state as it was before the call. Therefore those of write_plan
/// are stored by a second launch. A slot that is stored may be read only by the segment that is stored in it. A segment
/// that begins its group reads no slot.
///
/// Sentinels (plan rows that are marked as empty) are skipped. Slots and plans are on the device, so the host cannot
/// check them. A row of a plan that names a request, tokens or a slot outside the tensors, or tokens outside the group,
/// is skipped like a sentinel.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_merge.cuh"

namespace dsv4 {
namespace {

using layout::TokenPlan;

constexpr const char* kOp = "compress_c128_online_prefill_v1";

struct OnlinePrefillV1Params {
  OnlineTensors t;
  const TokenPlan* plan;
  const std::int32_t* load_slots;
  const std::int32_t* store_slots;
  std::int64_t requests;
};

template <bool kKeep>
__global__ void __launch_bounds__(kOnlineSegmentThreads, kOnlineBlocks)
    online_prefill_v1_kernel(const __grid_constant__ OnlinePrefillV1Params p) {
  wait_for_previous_kernel();
  const TokenPlan plan = p.plan[blockIdx.x / kOnlineTiles];
  if (plan.ragged_id == layout::kNoEntry || plan.batch_id >= p.requests) return;
  SegmentOfGroup segment = SegmentOfGroup::ending_at(plan.position, plan.window_len, plan.ragged_id);
  segment.from = p.load_slots[plan.batch_id];
  segment.to = p.store_slots[plan.batch_id];
  segment.entry = plan.ragged_id;
  if (!segment.is_inside(p.t, kKeep)) return;
  merge_segment<kKeep>(p.t, segment, static_cast<int>(blockIdx.x) % kOnlineTiles);
}

template <bool kKeep>
void launch(OnlinePrefillV1Params params, const TensorView& plan, DLDevice device) {
  if (plan.size(0) == 0) return;
  params.plan = data_of<const TokenPlan>(plan);
  Launch{.name = kOp,
         .device = device,
         .grid = grid_of(plan.size(0) * kOnlineTiles, kOp),
         .block = dim3(kOnlineSegmentThreads)}(online_prefill_v1_kernel<kKeep>, params);
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, ::tvm::ffi::Optional<TensorView> extra) {
  ArgumentCheck check(kOp);
  Size tokens("tokens"), requests("requests");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(TokenPlan));
  const OnlineTensors t = check_online_tensors(check, kv_buffer, kv_input, kv_output, ape, tokens, tokens);
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  for (const auto& [name, plan] : {std::pair{"compress_plan", &compress_plan}, {"write_plan", &write_plan}}) {
    check.tensor(name, *plan).dtype({kUint8}).shape({kAnySize, kBytes}).on_cuda().contiguous().aligned(kBytes);
  }
  if (extra.has_value()) {
    check.tensor("extra", *extra).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  }
  const auto* store = data_of<const std::int32_t>(indices);
  const OnlinePrefillV1Params params{t, nullptr, extra.has_value() ? data_of<const std::int32_t>(*extra) : store, store,
                                     requests.value()};
  launch<false>(params, compress_plan, check.device());
  launch<true>(params, write_plan, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_online_prefill_v1", "compress_c128_online_prefill_v1/1",
           "head_dim=512");
