/// Reference of `compress_c128_decode_v1`: stores the row of each request's newest token in the state. If the token
/// completes a group, the compressed entry is computed from the state. The token at position p is in row p mod 128 of
/// the page of its group. (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128.cuh:244-296.)
#include "interface/entry.h"
#include "reference/compress/v1_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_decode_v1";

struct Requests {
  OfflineTensors t;
  View<const std::int32_t, 1> indices;
  View<const std::int32_t, 1> seq_lens;

  Requests(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView pages,
           TensorView lengths)
      : t(offline_tensors(kOp, 128, kv_buffer, kv_input, kv_output, ape, std::nullopt)),
        indices(kOp, "indices", pages),
        seq_lens(kOp, "seq_lens", lengths) {
    indices.expect_size(0, size()).expect_contiguous();
    seq_lens.expect_size(0, size()).expect_contiguous();
  }

  [[nodiscard]] std::int64_t size() const { return t.input.size(0); }

  /// True if the request's token is kept: the request has a token, and the state has its page.
  [[nodiscard]] bool keeps(std::int64_t b) const { return seq_lens(b) > 0 && t.has_page(indices(b)); }
  /// True if the request's token completes an entry. The length decides (c128.cuh:291).
  [[nodiscard]] bool completes(std::int64_t b) const { return keeps(b) && seq_lens(b) % t.ratio == 0; }

  /// The number of the request's token in its group. Its state row has this number in the page.
  [[nodiscard]] std::int64_t place(std::int64_t b) const { return (std::int64_t{seq_lens(b)} - 1) % t.ratio; }

  /// Returns the window of request b, whose newest token completes a group. The request reads one new row, its own, and
  /// takes it from the input.
  [[nodiscard]] Window window(std::int64_t b) const {
    Window window(t.places(), t.head_dim());
    for (std::int64_t i = 0; i < place(b); ++i) set_place(t, window, i, row_of(t.state, indices(b), i));
    set_place(t, window, place(b), row_of(t.input, b));
    return window;
  }
};

/// decode: stores the new rows in the state, and then computes the entries. Throws a ValueError that names
/// the argument.
///
/// Pages and lengths are on the device, so a kernel's host code cannot check them. A request is skipped if its length
/// is not positive, or if the state does not have its page: nothing is kept, and no entry is written. Upstream's kernel
/// uses both unchecked.
///
/// @param kv_buffer  f32 [pages, 128, 2H], in place: the state
/// @param kv_input   f32 [B, 2H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 128
/// @param ape        f32 [128, H]: bias of the scores for each place in the window
/// @param indices    i32 [B]: page of the newest token's group, or the request's ring, which is the same here
/// @param seq_lens   i32 [B]: length of each request, the newest token included
/// @param extra      any tensor, optional: not used (c128.cuh:386)
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, Extra /*extra*/) {
  const Requests requests(kv_buffer, kv_input, kv_output, ape, indices, seq_lens);
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    if (requests.keeps(b)) requests.t.keep(b, requests.t.ratio * requests.indices(b) + requests.place(b));
  }
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    if (requests.completes(b)) write_entry(requests.t, b, requests.window(b));
  }
}

/// Computes the error bounds of `decode`. The arguments are those of `decode`, but `bound`, f32 [B, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView indices,
                  TensorView seq_lens, Extra /*extra*/) {
  const Requests requests(kv_buffer, kv_input, bound, ape, indices, seq_lens);
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    row_of(requests.t.output, b) = 0.0f;
    if (requests.completes(b)) write_bound(requests.t, b, requests.window(b));
  }
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c128_decode_v1", "compress_c128_decode_v1/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c128_decode_v1", "bound", "");

}  // namespace dsv4::reference
