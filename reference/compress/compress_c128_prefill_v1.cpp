/// Reference of `compress_c128_prefill_v1`: computes the compressed entries that a prefill batch completes. Then it
/// stores in the state the rows of the tokens that are kept.
///
/// An entry is made from the 128 tokens that end at the token of its record. Each column is the mean of the kv of these
/// tokens, weighted by the softmax of their scores. The first `window_len` tokens are read from the state as it was
/// before the batch. The other tokens are read from the batch. The token at position p is in row p mod 128 of the page
/// of its group. (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128.cuh:116-159 and 298-365.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/v1_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_prefill_v1";

using layout::TokenPlan;

struct Batch {
  OfflineTensors t;
  View<const std::int32_t, 1> write_pages;
  View<const std::int32_t, 1> load_pages;  ///< without `extra`, these are the write pages (c128.cuh:473)
  std::vector<TokenPlan> entries;
  std::vector<TokenPlan> writes;

  Batch(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
        TensorView compress_plan, TensorView write_plan, const Extra& extra)
      : t(offline_tensors(kOp, 128, kv_buffer, kv_input, kv_output, ape, std::nullopt)),
        write_pages(kOp, "indices", indices),
        load_pages(kOp, "extra", extra.has_value() ? extra.value() : indices),
        entries(read_token_plan(kOp, "compress_plan", compress_plan, t.input.size(0))),
        writes(read_token_plan(kOp, "write_plan", write_plan, t.input.size(0))) {
    write_pages.expect_contiguous();
    load_pages.expect_size(0, write_pages.size(0)).expect_contiguous();
  }

  /// True if the record is not a sentinel, and its token and its request are in the batch.
  [[nodiscard]] bool has_token(const TokenPlan& plan) const {
    return plan.ragged_id != layout::kNoEntry && plan.batch_id < write_pages.size(0) && t.has_token(plan.ragged_id);
  }

  /// The row of the batch that has the token of place i, if it is read from the batch.
  [[nodiscard]] std::int64_t token_of_place(const TokenPlan& entry, std::int64_t i) const {
    return std::int64_t{entry.ragged_id} - (t.places() - 1) + i;
  }

  /// True if the record is an entry whose rows are all in the tensors.
  [[nodiscard]] bool is_entry(const TokenPlan& entry) const {
    if (!has_token(entry)) return false;
    if (entry.window_len > 0 && !t.has_page(load_pages(entry.batch_id))) return false;
    return entry.window_len >= t.places() || t.has_token(token_of_place(entry, entry.window_len));
  }
  [[nodiscard]] bool is_kept(const TokenPlan& kept) const {
    return has_token(kept) && t.has_page(write_pages(kept.batch_id));
  }

  [[nodiscard]] Window window(const TokenPlan& entry) const {
    Window window(t.places(), t.head_dim());
    for (std::int64_t i = 0; i < t.places(); ++i) {
      if (i < entry.window_len) {
        set_place(t, window, i, row_of(t.state, load_pages(entry.batch_id), i));
      } else {
        set_place(t, window, i, row_of(t.input, token_of_place(entry, i)));
      }
    }
    return window;
  }
};

/// prefill: computes the entries, and then stores the kept rows in the state. Plan records that are marked as empty
/// (sentinels) are skipped. Plans and pages are on the device, so a kernel's host code cannot check them. A record that
/// names a token or a request outside the batch is skipped too. So is a record that needs a page outside the state.
/// Upstream's kernel uses all of them unchecked. Throws a ValueError that names the argument.
///
/// @param kv_buffer      f32 [pages, 128, 2H], in place: the state
/// @param kv_input       f32 [N, 2H]: rows of the batch's tokens
/// @param kv_output      f32 [N, H], out; the rows of the tokens that complete an entry are written
/// @param ape            f32 [128, H]: bias of the scores for each place in the window
/// @param indices        i32 [B]: page of the newest token's group, or the request's ring
/// @param compress_plan  u8 [n_c, 16]: TokenPlan records, n_c <= N; `position` is not used
/// @param write_plan     u8 [n_w, 16]: TokenPlan records, n_w <= N
/// @param extra          i32 [B], optional: page of the newest old token's group, from which rows are read
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, Extra extra) {
  const Batch batch(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra);
  for (const TokenPlan& entry : batch.entries) {
    if (batch.is_entry(entry)) write_entry(batch.t, entry.ragged_id, batch.window(entry));
  }
  for (const TokenPlan& kept : batch.writes) {
    if (!batch.is_kept(kept)) continue;
    const std::int64_t page = batch.write_pages(kept.batch_id);
    batch.t.keep(kept.ragged_id, page * batch.t.ratio + kept.position % batch.t.ratio);
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

DSV4_ENTRY(prefill, prefill, "compress_c128_prefill_v1", "compress_c128_prefill_v1/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c128_prefill_v1", "bound", "");

}  // namespace dsv4::reference
