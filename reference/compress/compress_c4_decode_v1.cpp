/// Reference of `compress_c4_decode_v1`: stores the row of each request's newest token in the state. If the token
/// completes a group, the compressed entry is computed from the state. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4.cuh:214-273.)
#include "interface/entry.h"
#include "reference/compress/c4_v1.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c4_decode_v1";

struct Requests {
  OfflineTensors t;
  View<const std::int32_t, 1> indices;
  View<const std::int32_t, 1> seq_lens;
  std::optional<View<const std::int32_t, 2>> extra;

  Requests(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView pages,
           TensorView lengths, const Extra& more)
      : t(c4_v1_tensors(kOp, kv_buffer, kv_input, kv_output, ape, more)),
        indices(kOp, "indices", pages),
        seq_lens(kOp, "seq_lens", lengths) {
    indices.expect_size(0, size()).expect_contiguous();
    seq_lens.expect_size(0, size()).expect_contiguous();
    if (!more.has_value()) return;
    extra.emplace(kOp, "extra", more.value());
    extra->expect_size(0, size()).expect_size(1, 1).expect_contiguous();
  }

  [[nodiscard]] std::int64_t size() const { return t.input.size(0); }

  /// The state row of the token at `position`, which is in the window of request b's newest token.
  [[nodiscard]] StateRow row_of_token(std::int64_t b, std::int64_t position) const {
    if (!extra) return row_in_ring(indices(b), position);
    const bool is_own_group = position / kGroup == newest(b) / kGroup;
    return row_in_page(is_own_group ? indices(b) : (*extra)(b, 0), position);
  }
  [[nodiscard]] std::int64_t newest(std::int64_t b) const { return std::int64_t{seq_lens(b)} - 1; }

  /// True if the request's token is kept: the request has a token, and the state has its row.
  [[nodiscard]] bool keeps(std::int64_t b) const { return seq_lens(b) > 0 && t.has_page(indices(b)); }
  /// True if the request's token completes an entry whose rows are in the state.
  [[nodiscard]] bool completes(std::int64_t b) const {
    if (!keeps(b) || seq_lens(b) % kGroup != 0) return false;
    return seq_lens(b) == kGroup || t.has_page(row_of_token(b, newest(b) - kGroup).page);
  }

  /// Returns the window of request b. Each request reads one new row, its own, and takes it from the input.
  [[nodiscard]] Window window(std::int64_t b) const {
    Window window(8, t.head_dim());
    for (int i = 0; i < 8; ++i) {
      const std::int64_t position = newest(b) - 7 + i;
      if (position < 0) {
        set_absent(t, window, i, kAbsentScoreV1);
      } else if (i == 7) {
        set_place(t, window, i, reference::row_of(t.input, b));
      } else {
        const StateRow at = row_of_token(b, position);
        set_place(t, window, i, reference::row_of(t.state, at.page, at.row));
      }
    }
    return window;
  }
};

/// decode: stores the new rows in the state, and then computes the entries. Throws a ValueError that names
/// the argument.
///
/// Pages and lengths are on the device, so a kernel's host code cannot check them. A request is skipped if its length
/// is not positive, or if the state does not have its page or ring: nothing is kept, and no entry is written. If the
/// state does not have the page of the group before, and the entry needs it, the token is kept, and no entry is
/// written. Upstream's kernel uses all of them unchecked.
///
/// @param kv_buffer  f32 [pages, 4, 4H] with `extra`, else [rings, 8, 4H], in place: the state
/// @param kv_input   f32 [B, 4H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 4
/// @param ape        f32 [8, H]: bias of the scores for each place in the window
/// @param indices    i32 [B]: page of the newest token's group, or the request's ring
/// @param seq_lens   i32 [B]: length of each request, the newest token included
/// @param extra      i32 [B, 1], optional: page of the group before the newest token's group
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
            TensorView seq_lens, Extra extra) {
  const Requests requests(kv_buffer, kv_input, kv_output, ape, indices, seq_lens, extra);
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    if (!requests.keeps(b)) continue;
    const StateRow at = requests.row_of_token(b, requests.newest(b));
    requests.t.keep(b, at.page * requests.t.state.size(1) + at.row);
  }
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    if (requests.completes(b)) write_entry(requests.t, b, requests.window(b));
  }
}

/// Computes the error bounds of `decode`. The arguments are those of `decode`, but `bound`, f32 [B, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView indices,
                  TensorView seq_lens, Extra extra) {
  const Requests requests(kv_buffer, kv_input, bound, ape, indices, seq_lens, extra);
  for (std::int64_t b = 0; b < requests.size(); ++b) {
    row_of(requests.t.output, b) = 0.0f;
    if (requests.completes(b)) write_bound(requests.t, b, requests.window(b));
  }
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c4_decode_v1", "compress_c4_decode_v1/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c4_decode_v1", "bound", "");

}  // namespace dsv4::reference
