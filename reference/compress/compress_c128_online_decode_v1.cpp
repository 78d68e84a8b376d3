/// Reference of `compress_c128_online_decode_v1`: adds each request's newest token to the running softmax of its group.
/// If the token completes the group, the mean is the compressed entry. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c128_online.cuh:118-192.)
#include <tvm/ffi/optional.h>

#include "interface/entry.h"
#include "reference/compress/online_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_online_decode_v1";

using Extra = ::tvm::ffi::Optional<TensorView>;

/// The merges of a batch. A request is skipped if its length is not positive, or if the state does not have its slot.
/// The first token of a group does not read its slot, and the last one does not write it.
std::vector<Merge> merges_of(const OnlineTensors& t, TensorView slots, TensorView lengths) {
  const View<const std::int32_t, 1> indices(kOp, "indices", slots), seq_lens(kOp, "seq_lens", lengths);
  indices.expect_size(0, t.input.size(0)).expect_contiguous();
  seq_lens.expect_size(0, t.input.size(0)).expect_contiguous();
  std::vector<Merge> merges;
  for (std::int64_t b = 0; b < indices.size(0); ++b) {
    if (seq_lens(b) <= 0 || !t.has_slot(indices(b))) continue;
    const std::int64_t place = (std::int64_t{seq_lens(b)} - 1) % kOnlineGroup;
    merges.push_back({.first = b, .tokens = 1, .place = place, .from = indices(b), .to = indices(b)});
    if (place == kOnlineGroup - 1) merges.back().entry = b;
  }
  return merges;
}

/// decode: throws a ValueError that names the argument. Slots and lengths are on the device, so a kernel's host code
/// cannot check them. Upstream's kernel uses them unchecked.
///
/// @param kv_buffer  f32 [slots, 1, 3H], in place: the state
/// @param kv_input   f32 [B, 2H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 128
/// @param ape        f32 [128, H]: bias of the scores for each place in the group
/// @param indices    i32 [B]: slot of each request's newest group
/// @param seq_lens   i32 [B]: length of each request, the newest token included
/// @param extra      not used; may be absent (c128_online.cuh:470)
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, Extra /*extra*/) {
  const OnlineTensors t = online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  for (const Merge& merge : merges_of(t, indices, seq_lens))
    merge.has_earlier() ? apply(t, merge) : store_first(t, merge);
}

/// Computes the error bounds of `decode`. Two arguments follow those of `decode`: kv_output_bound and kv_buffer_bound
/// have the shapes of kv_output and kv_buffer. They receive the largest distance that each element of a correct result
/// may have from the reference's element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
                  TensorView seq_lens, Extra /*extra*/, TensorView kv_output_bound, TensorView kv_buffer_bound) {
  const OnlineTensors t = online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  const auto [output, state] = bound_tensors(kOp, t, kv_output_bound, kv_buffer_bound);
  for (const Merge& merge : merges_of(t, indices, seq_lens)) {
    if (merge.has_earlier()) apply_bound(t, merge, kDecodeRoundings, output, state);  // a first token is copied
  }
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c128_online_decode_v1", "compress_c128_online_decode_v1/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c128_online_decode_v1", "bound", "");

}  // namespace dsv4::reference
