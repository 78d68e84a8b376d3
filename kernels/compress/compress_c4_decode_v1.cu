/// compress_c4_decode_v1: stores the row of each request's newest token in the state. If this token completes a group
/// of four tokens, the kernel makes the compressed entry of the group.
///
///     decode(kv_buffer, kv_input, kv_output, ape, indices, seq_lens, extra?)
///
/// | argument  | shape          | dtype   | |
/// |-----------|----------------|---------|-|
/// | kv_buffer | [n, 4, 4H] with extra, else [n, 8, 4H] | float32 | in place; H is 128 or 512 |
/// | kv_input  | [B, 4H]        | float32 | a row per newest token: kv overlap, kv own, score overlap, score own |
/// | kv_output | [B, H]         | float32 | out; a row is written if the request's length is a multiple of 4 |
/// | ape       | [8, H]         | float32 | bias of the scores for each place in the window |
/// | indices   | [B]            | int32   | page of the newest token's group, or the request's ring |
/// | seq_lens  | [B]            | int32   | length of each request, the newest token included |
/// | extra     | [B, 1] or None | int32   | page of the group before |
///
/// The kernel computes what compress_c4_decode computes, except for the score of the places before a request's first
/// token: it is -1e9. All tensors are contiguous, on the same device, and aligned to 16 bytes; indices, seq_lens and
/// extra need no alignment. With extra, the token at position p is in row p mod 4 of its group's page. Without extra,
/// it is in row p mod 8 of its request's ring. No two requests may write to the same row, and no request may read a row
/// that another request writes.
///
/// Pages and lengths are on the device, so the host cannot check them. A request is skipped if its length is not
/// positive (it pads the batch), or if its page or ring is not in the state: nothing is kept, and no entry is written.
/// If the page of the group before is missing and needed, the token is kept, and no entry is written.

#include "interface/entry.h"
#include "kernels/compress/c4_steps.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_c4_decode_v1";

struct V1Params {
  OfflineTensors tensors;
  const std::int32_t* indices;
  const std::int32_t* seq_lens;
  const std::int32_t* extra;  ///< null: `indices` are rings
  std::uint32_t requests;
};

template <int kHeadDim, bool kRings>
__global__ void __launch_bounds__(kC4Threads, 4) decode_kernel(const __grid_constant__ V1Params p) {
  const C4Place<kHeadDim> place;
  wait_for_previous_kernel();
  if (place.unit >= p.requests) return;
  const C4Lane<kHeadDim> lane{p.tensors, place};
  const C4Token newest = lane.load_token(place.unit);
  const std::int32_t length = p.seq_lens[place.unit];
  const std::int64_t index = p.indices[place.unit];
  __syncwarp();  // otherwise the compiler would load the token only after the test
  if (length <= 0) return;
  const auto position = static_cast<std::uint32_t>(length) - 1;
  C4Pages pages;
  if constexpr (kRings) {
    pages = pages_of_ring(index, position);
  } else {
    pages = {p.extra[place.unit], index};
  }
  lane.decode(newest, pages.group * kGroup + position % kGroup, length % kGroup == 0, length <= kGroup, pages,
              kAbsentScoreV1);
}

template <int kHeadDim>
void launch(const V1Params& params, DLDevice device) {
  const auto kernel = params.extra == nullptr ? decode_kernel<kHeadDim, true> : decode_kernel<kHeadDim, false>;
  launch_c4<kHeadDim>(kOp, device, params.requests, kernel, params);
}

void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, ::tvm::ffi::Optional<TensorView> extra) {
  ArgumentCheck check(kOp);
  Size requests("requests");
  const OfflineTensors t = check_c4_v1_tensors(check, kv_buffer, kv_input, kv_output, ape, requests, extra.has_value());
  check.tensor("indices", indices).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({requests}).on_cuda().contiguous();
  if (extra.has_value()) check.tensor("extra", *extra).dtype({kInt32}).shape({requests, 1}).on_cuda().contiguous();
  check.require(requests.value() <= 0x7FFFFFFF, "kv_input", "at most 2^31 - 1 rows are supported, got ",
                requests.value());

  const V1Params params{.tensors = t,
                        .indices = data_of<const std::int32_t>(indices),
                        .seq_lens = data_of<const std::int32_t>(seq_lens),
                        .extra = extra.has_value() ? data_of<const std::int32_t>(*extra) : nullptr,
                        .requests = static_cast<std::uint32_t>(requests.value())};
  t.head_dim == 128 ? launch<128>(params, check.device()) : launch<512>(params, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(decode, dsv4::decode, "compress_c4_decode_v1", "compress_c4_decode_v1/1", "dtype=f32;head_dim=128|512");
