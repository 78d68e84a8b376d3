/// compress_c128_online_decode: adds each request's newest token to the running softmax of its group of 128 tokens. If
/// the token completes the group, the mean is written as the compressed entry.
///
///     decode(kv_buffer, kv_input, kv_output, ape, plan_d)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [slots, 1, 1536] | float32 | in place: largest score, sum of the weights, mean of kv |
/// | kv_input  | [B, 1024]        | float32 | a row per newest token: kv, score |
/// | kv_output | [B, 512]         | float32 | out; a row is written if the request's length is a multiple of 128 |
/// | ape       | [128, 512]       | float32 | bias of the scores for each place in the group |
/// | plan_d    | [B, 16]          | uint8   | DecodePlan of an online plan |
///
/// All tensors are contiguous, on the same device, and aligned to 16 bytes. The first token of a group does not read
/// its slot, and the last one does not write it. No two requests may use the same slot. If B = 0, no kernel
/// is launched.
///
/// The plan is on the device, so the host cannot check it. A row of the plan is skipped if its length is 0 (it pads the
/// batch), or if a slot that it uses is not in the state.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_merge.cuh"

namespace dsv4 {
namespace {

struct OnlineDecodeParams {
  OnlineTensors t;
  const layout::DecodePlan* plan;
};

__global__ void __launch_bounds__(kOnlineDecodeThreads)
    online_decode_kernel(const __grid_constant__ OnlineDecodeParams p) {
  wait_for_previous_kernel();
  const std::int64_t request = blockIdx.x;
  const layout::DecodePlan plan = p.plan[request];
  if (plan.seq_len == 0) return;
  const auto place = static_cast<int>((plan.seq_len - 1) % kOnlinePlaces);
  const bool first = place == 0, completes = place == kOnlinePlaces - 1;
  if (!first && !p.t.has_slot(plan.read_page_0)) return;
  if (!completes && !p.t.has_slot(plan.write_loc)) return;
  merge_token(p.t, request, place, plan.read_page_0, plan.write_loc);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  ArgumentCheck check("compress_c128_online_decode");
  Size requests("requests");
  const OnlineTensors t = check_online_tensors(check, kv_buffer, kv_input, kv_output, ape, requests, requests);
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::DecodePlan));
  check.tensor("plan_d", plan_d).dtype({kUint8}).shape({requests, kBytes}).on_cuda().contiguous().aligned(kBytes);
  if (requests.value() == 0) return;

  const OnlineDecodeParams params{t, data_of<const layout::DecodePlan>(plan_d)};
  Launch{.name = "compress_c128_online_decode",
         .device = check.device(),
         .grid = grid_of(requests.value(), "compress_c128_online_decode"),
         .block = dim3(kOnlineDecodeThreads)}(online_decode_kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c128_online_decode", "compress_c128_online_decode/1",
           "head_dim=512;state=f32");
