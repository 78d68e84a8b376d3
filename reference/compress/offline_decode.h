/// The common part of the references of `compress_c4_decode` and `compress_c128_decode`: stores the row of each
/// request's newest token in the state. If the token completes a group, the compressed entry is computed from
/// the state.
#pragma once

#include "interface/compress_plan.h"
#include "reference/compress/offline_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

using layout::DecodePlan;

/// True if the request's token is kept: the record has a token, and the state has its row.
inline bool keeps(const OfflineTensors& t, const DecodePlan& plan) {
  return plan.seq_len != 0 && t.has_row(plan.write_loc);
}

/// True if the request's token is the last one of its group. Upstream looks at the length at ratio 4, and at the state
/// row at ratio 128 (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c4_v2.cuh:218 and c128_v2.cuh:263). A planner gives
/// each token a row at the token's own place in a state page, so both say the same.
inline bool ends_group(const OfflineTensors& t, const DecodePlan& plan) {
  return t.ratio == 4 ? plan.seq_len % 4 == 0 : plan.write_loc % t.ratio == t.ratio - 1;
}

/// True if the window of the request's entry has a previous group, which is in a page of its own.
inline bool has_previous_group(const OfflineTensors& t, const DecodePlan& plan) {
  return t.windows() == 2 && plan.seq_len > t.ratio;
}

/// True if the request's token completes an entry whose pages are in the state.
inline bool completes(const OfflineTensors& t, const DecodePlan& plan) {
  if (!keeps(t, plan) || !ends_group(t, plan) || !t.has_page(plan.read_page_1)) return false;
  return !has_previous_group(t, plan) || t.has_page(plan.read_page_0);
}

/// Returns the window of the request of `plan`. `state(page, row)` must return a row of the state in which all new rows
/// have been stored.
template <class State>
Window window_of_request(const OfflineTensors& t, const DecodePlan& plan, const State& state) {
  Window window(t.places(), t.head_dim());
  for (std::int64_t i = 0; i < t.places(); ++i) {
    if (!t.in_own_group(i) && !has_previous_group(t, plan)) {
      set_absent(t, window, i);
    } else {
      set_place(t, window, i, state(t.in_own_group(i) ? plan.read_page_1 : plan.read_page_0, i % t.ratio));
    }
  }
  return window;
}

/// Throws if the plan has another number of rows than the batch.
inline void check_plan(const char* op, const OfflineTensors& t, const std::vector<DecodePlan>& plan_d) {
  if (static_cast<std::int64_t>(plan_d.size()) != t.input.size(0)) {
    refuse(
        op, "plan_d",
        "expected " + std::to_string(t.input.size(0)) + " rows, one per token, got " + std::to_string(plan_d.size()));
  }
}

/// Stores the new rows in the state, and then computes the entries. Throws a ValueError that names the argument.
inline void offline_decode(const char* op, std::int64_t ratio, TensorView kv_buffer, TensorView kv_input,
                           TensorView kv_output, TensorView ape, TensorView plan_d) {
  const auto plans = read_plan<DecodePlan>(op, "plan_d", plan_d);
  const OfflineTensors t = offline_tensors(op, ratio, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  check_plan(op, t, plans);

  for (std::size_t b = 0; b < plans.size(); ++b) {
    if (keeps(t, plans[b])) t.keep(static_cast<std::int64_t>(b), plans[b].write_loc);
  }
  for (std::size_t b = 0; b < plans.size(); ++b) {
    if (!completes(t, plans[b])) continue;
    const auto state = [&](std::int64_t page, std::int64_t row) { return row_of(t.state, page, row); };
    write_entry(t, static_cast<std::int64_t>(b), window_of_request(t, plans[b], state));
  }
}

/// Computes the error bounds of `offline_decode`. The arguments are the same, but `bound` replaces kv_output. It is 0
/// in rows that `offline_decode` does not write. No other argument is changed.
inline void offline_decode_bound(const char* op, std::int64_t ratio, TensorView kv_buffer, TensorView kv_input,
                                 TensorView bound, TensorView ape, TensorView plan_d) {
  const auto plans = read_plan<DecodePlan>(op, "plan_d", plan_d);
  const OfflineTensors t = offline_tensors(op, ratio, kv_buffer, kv_input, bound, ape, std::nullopt);
  check_plan(op, t, plans);
  for (std::size_t b = 0; b < plans.size(); ++b) {
    row_of(t.output, b) = 0.0f;
    if (!completes(t, plans[b])) continue;
    // The state does not have the new rows here. A request reads only one new row, its own, and takes it from
    // the input.
    const auto state = [&](std::int64_t page, std::int64_t row) -> Eigen::ArrayXf {
      if (t.ratio * page + row == plans[b].write_loc) return row_of(t.input, b);
      return row_of(t.state, page, row);
    };
    write_bound(t, static_cast<std::int64_t>(b), window_of_request(t, plans[b], state));
  }
}

}  // namespace dsv4::reference
