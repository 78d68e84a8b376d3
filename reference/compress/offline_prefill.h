/// The common part of the references of `compress_c4_prefill` and `compress_c128_prefill`: computes the compressed
/// entries that a prefill batch completes. Then it stores in the state the rows of the tokens that are kept.
#pragma once

#include "interface/compress_plan.h"
#include "reference/compress/offline_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

using layout::CompressPlan;
using layout::WritePlan;

/// True if the window of the entry has no previous group, because the entry's own group is the request's first one.
/// Only windows at ratio 4 have a previous group.
inline bool is_first_group(const OfflineTensors& t, const CompressPlan& plan) {
  return t.windows() == 2 && plan.seq_len <= t.ratio;
}

/// The state page of a place.
inline std::int64_t page_of_place(const OfflineTensors& t, const CompressPlan& plan, std::int64_t i) {
  return t.in_own_group(i) ? plan.read_page_1 : plan.read_page_0;
}

/// The row of the batch that has the token of a place. The last place has the token that the record names.
inline std::int64_t token_of_place(const OfflineTensors& t, const CompressPlan& plan, std::int64_t i) {
  return std::int64_t{plan.ragged_id} - (t.places() - 1) + i;
}

/// Returns the window of the entry that `plan` names.
inline Window window_of_entry(const OfflineTensors& t, const CompressPlan& plan) {
  Window window(t.places(), t.head_dim());
  for (std::int64_t i = 0; i < t.places(); ++i) {
    if (is_first_group(t, plan) && !t.in_own_group(i)) {
      set_absent(t, window, i);
    } else if (i < plan.buffer_len) {
      set_place(t, window, i, row_of(t.state, page_of_place(t, plan, i), i % t.ratio));
    } else {
      set_place(t, window, i, row_of(t.input, token_of_place(t, plan, i)));
    }
  }
  return window;
}

/// True if the record is an entry whose rows are all in the tensors.
inline bool is_entry(const OfflineTensors& t, const CompressPlan& plan) {
  if (plan.seq_len == layout::kNoEntry) return false;
  for (std::int64_t i = is_first_group(t, plan) ? t.ratio : 0; i < t.places(); ++i) {
    if (i < plan.buffer_len ? !t.has_page(page_of_place(t, plan, i)) : !t.has_token(token_of_place(t, plan, i))) {
      return false;
    }
  }
  return true;
}

/// True if the record names a token of the batch and a row of the state.
inline bool is_kept(const OfflineTensors& t, const WritePlan& plan) {
  return t.has_token(plan.ragged_id) && t.has_row(plan.write_loc);
}

/// Computes the entries, and then stores the kept rows in the state. Throws a ValueError that names the argument.
inline void offline_prefill(const char* op, std::int64_t ratio, TensorView kv_buffer, TensorView kv_input,
                            TensorView kv_output, TensorView ape, TensorView plan_c, TensorView plan_w) {
  const auto entries = read_plan<CompressPlan>(op, "plan_c", plan_c);
  const auto writes = read_plan<WritePlan>(op, "plan_w", plan_w);
  const OfflineTensors t =
      offline_tensors(op, ratio, kv_buffer, kv_input, kv_output, ape, static_cast<std::int64_t>(entries.size()));
  if (static_cast<std::int64_t>(writes.size()) > t.input.size(0)) {
    refuse(op, "plan_w",
           "expected at most " + std::to_string(t.input.size(0)) + " rows, the number of rows of 'kv_input', got " +
               std::to_string(writes.size()));
  }
  for (std::size_t k = 0; k < entries.size(); ++k) {
    if (is_entry(t, entries[k])) write_entry(t, static_cast<std::int64_t>(k), window_of_entry(t, entries[k]));
  }
  for (const WritePlan& plan : writes) {
    if (is_kept(t, plan)) t.keep(plan.ragged_id, plan.write_loc);
  }
}

/// Computes the error bounds of `offline_prefill`. The arguments are the same, but `bound` replaces kv_output. It is 0
/// in the rows of records without an entry. No other argument is changed.
inline void offline_prefill_bound(const char* op, std::int64_t ratio, TensorView kv_buffer, TensorView kv_input,
                                  TensorView bound, TensorView ape, TensorView plan_c, TensorView plan_w) {
  const auto entries = read_plan<CompressPlan>(op, "plan_c", plan_c);
  (void)read_plan<WritePlan>(op, "plan_w", plan_w);
  const OfflineTensors t =
      offline_tensors(op, ratio, kv_buffer, kv_input, bound, ape, static_cast<std::int64_t>(entries.size()));
  for (std::size_t k = 0; k < entries.size(); ++k) {
    row_of(t.output, k) = 0.0f;
    if (is_entry(t, entries[k])) write_bound(t, static_cast<std::int64_t>(k), window_of_entry(t, entries[k]));
  }
}

}  // namespace dsv4::reference
