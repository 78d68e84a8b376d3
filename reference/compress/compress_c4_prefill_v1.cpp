/// Reference of `compress_c4_prefill_v1`: computes the compressed entries that a prefill batch completes. Then it
/// stores in the state the rows of the tokens that are kept.
///
/// An entry that ends at position p is made from the eight tokens p - 7 ... p. Each column is the mean of the kv of
/// these tokens, weighted by the softmax of their scores. The first `window_len` tokens are read from the state as it
/// was before the batch. The other tokens are read from the batch. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4.cuh:114-212 and 275-359.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/c4_v1.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c4_prefill_v1";

using layout::TokenPlan;

struct Batch {
  OfflineTensors t;
  View<const std::int32_t, 1> indices;
  std::vector<TokenPlan> entries;
  std::vector<TokenPlan> writes;
  /// Columns: the page of the group before that of the newest old token, the page of that token's group, the page of
  /// the group before the newest token's group, and the first position of the newest token's group.
  std::optional<View<const std::int32_t, 2>> extra;

  Batch(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView pages,
        TensorView compress_plan, TensorView write_plan, const Extra& more)
      : t(c4_v1_tensors(kOp, kv_buffer, kv_input, kv_output, ape, more)),
        indices(kOp, "indices", pages),
        entries(read_token_plan(kOp, "compress_plan", compress_plan, t.input.size(0))),
        writes(read_token_plan(kOp, "write_plan", write_plan, t.input.size(0))) {
    indices.expect_contiguous();
    if (!more.has_value()) return;
    extra.emplace(kOp, "extra", more.value());
    extra->expect_size(0, indices.size(0)).expect_size(1, 4).expect_contiguous();
  }

  /// The state row of place i of an entry's window, if it is read from the state. If the own group has only new tokens,
  /// the newest old token is in the group before (c4.cuh:336-343).
  [[nodiscard]] StateRow row_of_place(const TokenPlan& entry, int i) const {
    const std::int64_t position = std::int64_t{entry.position} - 7 + i;
    if (!extra) return row_in_ring(indices(entry.batch_id), position);
    const bool is_newest_old = i >= kGroup || entry.window_len <= kGroup;
    return row_in_page((*extra)(entry.batch_id, is_newest_old ? 1 : 0), position);
  }

  /// The state row of a token that is kept (c4.cuh:326-332).
  [[nodiscard]] StateRow row_of_kept(const TokenPlan& kept) const {
    if (!extra) return row_in_ring(indices(kept.batch_id), kept.position);
    const bool is_before = kept.position < static_cast<std::uint32_t>((*extra)(kept.batch_id, 3));
    return row_in_page(is_before ? (*extra)(kept.batch_id, 2) : indices(kept.batch_id), kept.position);
  }

  /// True if the record is not a sentinel, and its token and its request are in the batch.
  [[nodiscard]] bool has_token(const TokenPlan& plan) const {
    return plan.ragged_id != layout::kNoEntry && plan.batch_id < indices.size(0) && t.has_token(plan.ragged_id);
  }

  /// True if the record is an entry whose rows are all in the tensors.
  [[nodiscard]] bool is_entry(const TokenPlan& plan) const {
    if (!has_token(plan) || plan.position % kGroup != kGroup - 1) return false;
    for (int i = plan.position < kGroup ? 4 : 0; i < 8; ++i) {
      const bool from_state = static_cast<std::uint32_t>(i) < plan.window_len;
      if (from_state ? !t.has_page(row_of_place(plan, i).page) : !t.has_token(std::int64_t{plan.ragged_id} - 7 + i)) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] bool is_kept(const TokenPlan& plan) const {
    return has_token(plan) && t.has_page(row_of_kept(plan).page);
  }

  [[nodiscard]] Window window(const TokenPlan& entry) const {
    Window window(8, t.head_dim());
    for (int i = 0; i < 8; ++i) {
      if (i < kGroup && entry.position < kGroup) {
        set_absent(t, window, i, kAbsentScoreV1);
      } else if (static_cast<std::uint32_t>(i) < entry.window_len) {
        const StateRow at = row_of_place(entry, i);
        set_place(t, window, i, row_of(t.state, at.page, at.row));
      } else {
        set_place(t, window, i, row_of(t.input, std::int64_t{entry.ragged_id} - 7 + i));
      }
    }
    return window;
  }
};

/// prefill: computes the entries, and then stores the kept rows in the state. Plan records that are marked as empty
/// (sentinels) are skipped. Plans and pages are on the device, so a kernel's host code cannot check them. A record that
/// names a token or a request outside the batch is skipped too. So is a record that needs a page outside the state, and
/// an entry whose position does not end a group. Upstream's kernel uses all of them unchecked. Throws a ValueError that
/// names the argument.
///
/// @param kv_buffer      f32 [pages, 4, 4H] with `extra`, else [rings, 8, 4H], in place: the state
/// @param kv_input       f32 [N, 4H]: rows of the batch's tokens
/// @param kv_output      f32 [N, H], out; the rows of the tokens that complete an entry are written
/// @param ape            f32 [8, H]: bias of the scores for each place in the window
/// @param indices        i32 [B]: page of the newest token's group, or the request's ring
/// @param compress_plan  u8 [n_c, 16]: TokenPlan records, n_c <= N
/// @param write_plan     u8 [n_w, 16]: TokenPlan records, n_w <= N
/// @param extra          i32 [B, 4], optional: the other pages of each request
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, Extra extra) {
  const Batch batch(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra);
  for (const TokenPlan& entry : batch.entries) {
    if (batch.is_entry(entry)) write_entry(batch.t, entry.ragged_id, batch.window(entry));
  }
  for (const TokenPlan& kept : batch.writes) {
    if (!batch.is_kept(kept)) continue;
    const StateRow at = batch.row_of_kept(kept);
    batch.t.keep(kept.ragged_id, at.page * batch.t.state.size(1) + at.row);
  }
}

/// Computes the error bounds of `prefill`. The arguments are those of `prefill`, but `bound`, f32 [N, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in rows that `prefill` does not write. No other argument is changed.
void prefill_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView indices,
                   TensorView compress_plan, TensorView write_plan, Extra extra) {
  const Batch batch(kv_buffer, kv_input, bound, ape, indices, compress_plan, write_plan, extra);
  for (std::int64_t t = 0; t < batch.t.output.size(0); ++t) row_of(batch.t.output, t) = 0.0f;
  for (const TokenPlan& entry : batch.entries) {
    if (batch.is_entry(entry)) write_bound(batch.t, entry.ragged_id, batch.window(entry));
  }
}

}  // namespace

DSV4_ENTRY(prefill, prefill, "compress_c4_prefill_v1", "compress_c4_prefill_v1/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c4_prefill_v1", "bound", "");

}  // namespace dsv4::reference
