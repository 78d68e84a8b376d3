/// compress_c128_online_prefill: merges the segments of a prefill batch with the running softmaxes of their groups of
/// 128 tokens. Segments that complete their group give compressed entries. The others are stored in the state.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, plan_c, plan_w)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [slots, 1, 1536] | float32 | in place: largest score, sum of the weights, mean of kv |
/// | kv_input  | [N, 1024]        | float32 | rows of the batch's tokens: kv, score |
/// | kv_output | [n_c, 512]       | float32 | out; row k belongs to plan_c[k] |
/// | ape       | [128, 512]       | float32 | bias of the scores for each place in the group |
/// | plan_c    | [n_c, 16]        | uint8   | CompressPlan of each segment that completes its group |
/// | plan_w    | [n_w, 16]        | uint8   | CompressPlan of each segment whose group stays open, n_w <= N |
///
/// All tensors are contiguous, on the same device, and aligned to 16 bytes. The segments of plan_c read the state as it
/// was before the call. Therefore the segments of plan_w are stored by a second launch. No two of them may have the
/// same slot. A segment that begins its group does not read its slot.
///
/// Sentinels (plan rows that are marked as empty) are skipped. The plans are on the device, so the host cannot check
/// them. A row of a plan that names tokens outside the batch or the group, or a slot outside the state, is skipped like
/// a sentinel.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_merge.cuh"

namespace dsv4 {
namespace {

using layout::CompressPlan;

struct OnlinePrefillParams {
  OnlineTensors t;
  const CompressPlan* plan;
};

/// `kKeep` is true if the segments are stored, and false if they complete their group.
template <bool kKeep>
__global__ void __launch_bounds__(kOnlineSegmentThreads, kOnlineBlocks)
    online_prefill_kernel(const __grid_constant__ OnlinePrefillParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x / kOnlineTiles;
  const CompressPlan plan = p.plan[row];
  if (plan.seq_len == layout::kNoEntry || plan.seq_len == 0) return;
  SegmentOfGroup segment = SegmentOfGroup::ending_at(plan.seq_len - 1, plan.buffer_len, plan.ragged_id);
  segment.from = segment.to = plan.read_page_0;
  segment.entry = row;
  if (!segment.is_inside(p.t, kKeep)) return;
  merge_segment<kKeep>(p.t, segment, static_cast<int>(blockIdx.x) % kOnlineTiles);
}

template <bool kKeep>
void launch(const OnlineTensors& t, const TensorView& plan, DLDevice device) {
  if (plan.size(0) == 0) return;
  Launch{.name = "compress_c128_online_prefill",
         .device = device,
         .grid = grid_of(plan.size(0) * kOnlineTiles, "compress_c128_online_prefill"),
         .block = dim3(kOnlineSegmentThreads)}(online_prefill_kernel<kKeep>,
                                               OnlinePrefillParams{t, data_of<const CompressPlan>(plan)});
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  ArgumentCheck check("compress_c128_online_prefill");
  Size tokens("tokens"), entries("entries"), writes("segments to keep");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(CompressPlan));
  check.tensor("plan_c", plan_c).dtype({kUint8}).shape({entries, kBytes}).on_cuda().contiguous().aligned(kBytes);
  check.tensor("plan_w", plan_w).dtype({kUint8}).shape({writes, kBytes}).on_cuda().contiguous().aligned(kBytes);
  const OnlineTensors t = check_online_tensors(check, kv_buffer, kv_input, kv_output, ape, tokens, entries);
  check.require(writes.value() <= tokens.value(), "plan_w", "must have at most ", tokens.value(),
                " rows, the number of tokens of the batch, got ", writes.value());
  launch<false>(t, plan_c, check.device());
  launch<true>(t, plan_w, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_online_prefill", "compress_c128_online_prefill/1",
           "head_dim=512;state=f32");
