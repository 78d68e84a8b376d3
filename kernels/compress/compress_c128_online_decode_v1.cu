/// compress_c128_online_decode_v1: adds each request's newest token to the running softmax of its group of 128 tokens.
/// If the token completes the group, the mean is written as the compressed entry.
///
///     decode(kv_buffer, kv_input, kv_output, ape, indices, seq_lens, extra?)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [slots, 1, 1536] | float32 | in place: largest score, sum of the weights, mean of kv |
/// | kv_input  | [B, 1024]        | float32 | a row per newest token: kv, score |
/// | kv_output | [B, 512]         | float32 | out; a row is written if the request's length is a multiple of 128 |
/// | ape       | [128, 512]       | float32 | bias of the scores for each place in the group |
/// | indices   | [B]              | int32   | slot of each request's newest group |
/// | seq_lens  | [B]              | int32   | length of each request, new token included |
/// | extra     | any, or None     |         | not used: all kernels of V1 have the same arguments |
///
/// The kernel computes what compress_c128_online_decode computes. All tensors are contiguous and on the same device.
/// The first four are aligned to 16 bytes. The first token of a group does not read its slot, and the last one does not
/// write it. No two requests may use the same slot. If B = 0, no kernel is launched.
///
/// Slots and lengths are on the device, so the host cannot check them. A request is skipped if its length is not
/// positive (it pads the batch), or if its slot is not in the state.

#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_merge.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c128_online_decode_v1";

struct OnlineDecodeV1Params {
  OnlineTensors t;
  const std::int32_t* slots;
  const std::int32_t* lengths;
};

__global__ void __launch_bounds__(kOnlineDecodeThreads)
    online_decode_v1_kernel(const __grid_constant__ OnlineDecodeV1Params p) {
  wait_for_previous_kernel();
  const std::int64_t request = blockIdx.x;
  const std::int32_t slot = p.slots[request], length = p.lengths[request];
  if (length < 1 || !p.t.has_slot(slot)) return;
  merge_token(p.t, request, (length - 1) % kOnlinePlaces, slot, slot);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, ::tvm::ffi::Optional<TensorView> /*extra*/) {
  ArgumentCheck check(kOp);
  Size requests("requests");
  const OnlineTensors t = check_online_tensors(check, kv_buffer, kv_input, kv_output, ape, requests, requests);
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  if (requests.value() == 0) return;

  const OnlineDecodeV1Params params{t, data_of<const std::int32_t>(indices), data_of<const std::int32_t>(seq_lens)};
  Launch{.name = kOp,
         .device = check.device(),
         .grid = grid_of(requests.value(), kOp),
         .block = dim3(kOnlineDecodeThreads)}(online_decode_v1_kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c128_online_decode_v1", "compress_c128_online_decode_v1/1", "head_dim=512");
