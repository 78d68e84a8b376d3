/// Reference of `compress_c4_prefill`: computes the compressed entries that a prefill batch completes. Then it stores
/// in the state the rows of the tokens that are kept.
///
/// An entry that ends at position p is made from the eight tokens p - 7 ... p. Each column is the mean of the kv of
/// these tokens, weighted by the softmax of their scores. The first `buffer_len` tokens are read from the state as it
/// was before the batch. The other tokens are read from the batch. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4_v2.cuh:77-172 and :224-289.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/offline_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c4_prefill";

using layout::CompressPlan;
using layout::WritePlan;

/// Returns the window of the entry that `plan` names.
Window window_of_entry(const OfflineTensors& t, const CompressPlan& plan) {
  Window window(t.head_dim());
  for (int i = 0; i < 8; ++i) {
    if (i < kGroup && plan.seq_len <= kGroup) {
      set_absent(t, window, i);
    } else if (i < plan.buffer_len) {
      const std::int64_t page = i < kGroup ? plan.read_page_0 : plan.read_page_1;
      set_place(t, window, i, row_of(t.state, page, i % kGroup));
    } else {
      set_place(t, window, i, row_of(t.input, std::int64_t{plan.ragged_id} - 7 + i));
    }
  }
  return window;
}

/// True if the record is an entry whose rows are all in the tensors.
bool is_entry(const OfflineTensors& t, const CompressPlan& plan) {
  if (plan.seq_len == layout::kNoEntry) return false;
  for (int i = plan.seq_len <= kGroup ? 4 : 0; i < 8; ++i) {
    const std::int64_t page = i < kGroup ? plan.read_page_0 : plan.read_page_1;
    if (i < plan.buffer_len ? !t.has_page(page) : !t.has_token(std::int64_t{plan.ragged_id} - 7 + i)) return false;
  }
  return true;
}

/// True if the record names a token of the batch and a row of the state.
bool is_kept(const OfflineTensors& t, const WritePlan& plan) {
  return t.has_token(plan.ragged_id) && t.has_row(plan.write_loc);
}

/// prefill: computes the entries, and then stores the kept rows in the state. Plan records that are marked as empty
/// (sentinels) are skipped. The plans are on the device, so a kernel's host code cannot check them. A record that names
/// a token outside the batch, or a row or page outside the state, is skipped too. Throws a ValueError that names
/// the argument.
///
/// @param kv_buffer  f32 [pages, 4, 4H], in place: the state
/// @param kv_input   f32 [N, 4H]: rows of the batch's tokens
/// @param kv_output  f32 [n_c, H], out; row k belongs to record k of plan_c
/// @param ape        f32 [8, H]: bias of the scores for each place in the window
/// @param plan_c     u8 [n_c, 16]: CompressPlan records
/// @param plan_w     u8 [n_w, 8]: WritePlan records, n_w <= N
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  const auto entries = read_plan<CompressPlan>(kOp, "plan_c", plan_c);
  const auto writes = read_plan<WritePlan>(kOp, "plan_w", plan_w);
  const OfflineTensors t =
      offline_tensors(kOp, kv_buffer, kv_input, kv_output, ape, static_cast<std::int64_t>(entries.size()));
  if (static_cast<std::int64_t>(writes.size()) > t.input.size(0)) {
    refuse(kOp, "plan_w",
           "expected at most " + std::to_string(t.input.size(0)) + " rows, the number of rows of 'kv_input', got " +
               std::to_string(writes.size()));
  }

  for (std::size_t k = 0; k < entries.size(); ++k) {
    if (!is_entry(t, entries[k])) continue;
    const Window window = window_of_entry(t, entries[k]);
    for (std::int64_t d = 0; d < t.head_dim(); ++d) {
      t.output(k, d) = static_cast<float>(compress_column(window.kv.col(d), window.z.col(d)));
    }
  }
  for (const WritePlan& plan : writes) {
    if (!is_kept(t, plan)) continue;
    // Copies bytes, because a row must keep a signalling NaN. A copy of floats could change it.
    std::memcpy(&t.state(plan.write_loc / kGroup, plan.write_loc % kGroup, 0), &t.input(plan.ragged_id, 0),
                sizeof(float) * 4 * t.head_dim());
  }
}

/// Computes the error bounds of `prefill`. The arguments are those of `prefill`, but `bound`, f32 [n_c, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in the rows of sentinels. No other argument is changed.
void prefill_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView plan_c,
                   TensorView plan_w) {
  const auto entries = read_plan<CompressPlan>(kOp, "plan_c", plan_c);
  (void)read_plan<WritePlan>(kOp, "plan_w", plan_w);
  const OfflineTensors t =
      offline_tensors(kOp, kv_buffer, kv_input, bound, ape, static_cast<std::int64_t>(entries.size()));
  for (std::size_t k = 0; k < entries.size(); ++k) {
    row_of(t.output, k) = 0.0f;
    if (!is_entry(t, entries[k])) continue;
    const Window window = window_of_entry(t, entries[k]);
    for (std::int64_t d = 0; d < t.head_dim(); ++d) {
      t.output(k, d) = float_above(compress_column_bound(window.kv.col(d), window.z.col(d)));
    }
  }
}

}  // namespace

DSV4_ENTRY(prefill, prefill, "compress_c4_prefill", "compress_c4_prefill/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c4_prefill", "bound", "");

}  // namespace dsv4::reference
