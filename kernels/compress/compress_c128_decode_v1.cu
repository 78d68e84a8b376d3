/// compress_c128_decode_v1: stores the row of each request's newest token in the state. If this token completes a group
/// of 128 tokens, the kernel makes the compressed entry of the group.
///
///     decode(kv_buffer, kv_input, kv_output, ape, indices, seq_lens, extra?)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [pages, 128, 2H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [B, 2H]          | float32 | a row per newest token: kv, score |
/// | kv_output | [B, H]           | float32 | out; a row is written if the request's length is a multiple of 128 |
/// | ape       | [128, H]         | float32 | bias of the scores for each place in the window |
/// | indices   | [B]              | int32   | page of the newest token's group, or the request's ring |
/// | seq_lens  | [B]              | int32   | length of each request, the newest token included |
/// | extra     | any, or None     |         | not used: all kernels of V1 have the same arguments |
///
/// The kernel computes what compress_c128_decode computes. All tensors are contiguous, on the same device, and aligned
/// to 8 bytes; indices and seq_lens need no alignment. The token at position p is in row p mod 128 of its group's page.
/// A ring of a request has as many rows as a page, so both are the same to the kernel. No two requests may write to the
/// same row, and no request may read a row that another request writes.
///
/// Pages and lengths are on the device, so the host cannot check them. A request is skipped if its length is not
/// positive (it pads the batch), or if its page is not in the state: nothing is kept, and no entry is written.

#include "interface/entry.h"
#include "kernels/compress/c128_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c128_decode_v1";

struct V1Params {
  OfflineTensors tensors;
  const std::int32_t* indices;
  const std::int32_t* seq_lens;
};

template <int kHeadDim>
__global__ void __launch_bounds__(kC128Threads, kC128Blocks)
    decode_kernel(const __grid_constant__ V1Params p, int per_block) {
  const C128Place<kHeadDim> place;
  wait_for_previous_kernel();
  C128Thread<kHeadDim>{p.tensors, place}.decode(per_block, [&](std::int64_t token) {
    const std::int32_t length = p.seq_lens[token];
    const std::int64_t page = p.indices[token];
    return C128Step{length <= 0 ? -1 : page * kGroup + (length - 1) % kGroup, length % kGroup == 0, page};
  });
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, ::tvm::ffi::Optional<TensorView> /*extra*/) {
  ArgumentCheck check(kOp);
  Size requests("requests");
  const OfflineTensors t =
      check_offline_tensors(check, kC128Form, kv_buffer, kv_input, kv_output, ape, requests, requests);
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({requests}).on_cuda().contiguous();

  const V1Params params{t, data_of<const std::int32_t>(indices), data_of<const std::int32_t>(seq_lens)};
  const std::uint32_t units = plan_rows(check, "kv_input", requests);
  t.head_dim == 128 ? launch_c128_decode<128>(kOp, check.device(), units, decode_kernel<128>, params)
                    : launch_c128_decode<512>(kOp, check.device(), units, decode_kernel<512>, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c128_decode_v1", "compress_c128_decode_v1/1", "dtype=f32;head_dim=128|512");
