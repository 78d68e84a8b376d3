/// Reference of `compress_c4_decode`: stores the row of each request's newest token in the state. If the token
/// completes a group, the compressed entry is computed from the state. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4_v2.cuh:77-222.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/offline_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c4_decode";

using layout::DecodePlan;

/// True if the request's token is kept: the record has a token, and the state has its row.
bool keeps(const OfflineTensors& t, const DecodePlan& plan) { return plan.seq_len != 0 && t.has_row(plan.write_loc); }

/// True if the request's token completes an entry whose pages are in the state.
bool completes(const OfflineTensors& t, const DecodePlan& plan) {
  if (!keeps(t, plan) || plan.seq_len % kGroup != 0 || !t.has_page(plan.read_page_1)) return false;
  return plan.seq_len == kGroup || t.has_page(plan.read_page_0);
}

/// Returns the window of the request of `plan`. `state(page, row)` must return a row of the state in which all new rows
/// have been stored.
template <class State>
Window window_of_request(const OfflineTensors& t, const DecodePlan& plan, const State& state) {
  Window window(t.head_dim());
  for (int i = 0; i < 8; ++i) {
    if (i < kGroup && plan.seq_len <= kGroup) {
      set_absent(t, window, i);
    } else {
      set_place(t, window, i, state(i < kGroup ? plan.read_page_0 : plan.read_page_1, i % kGroup));
    }
  }
  return window;
}

/// Throws if the plan has another number of rows than the batch.
void check_plan(const OfflineTensors& t, const std::vector<DecodePlan>& plan_d) {
  if (static_cast<std::int64_t>(plan_d.size()) != t.input.size(0)) {
    refuse(
        kOp, "plan_d",
        "expected " + std::to_string(t.input.size(0)) + " rows, one per token, got " + std::to_string(plan_d.size()));
  }
}

/// decode: stores the new rows in the state, and then computes the entries. Throws a ValueError that names
/// the argument.
///
/// The plan is on the device, so a kernel's host code cannot check it. A record is skipped if its length is 0, or if
/// the state does not have its row: nothing is kept, and no entry is written. If the state does not have a page that
/// the entry needs, the token is kept, and no entry is written.
///
/// @param kv_buffer  f32 [pages, 4, 4H], in place: the state
/// @param kv_input   f32 [B, 4H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 4
/// @param ape        f32 [8, H]: bias of the scores for each place in the window
/// @param plan_d     u8 [B, 16]: DecodePlan records
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  const auto plans = read_plan<DecodePlan>(kOp, "plan_d", plan_d);
  const OfflineTensors t = offline_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  check_plan(t, plans);

  for (std::size_t b = 0; b < plans.size(); ++b) {
    if (!keeps(t, plans[b])) continue;
    const std::int64_t row = plans[b].write_loc;
    // Copies bytes, because a row must keep a signalling NaN. A copy of floats could change it.
    std::memcpy(&t.state(row / kGroup, row % kGroup, 0), &t.input(b, 0), sizeof(float) * 4 * t.head_dim());
  }
  for (std::size_t b = 0; b < plans.size(); ++b) {
    if (!completes(t, plans[b])) continue;
    const auto state = [&](std::int64_t page, std::int64_t row) { return row_of(t.state, page, row); };
    const Window window = window_of_request(t, plans[b], state);
    for (std::int64_t d = 0; d < t.head_dim(); ++d) {
      t.output(b, d) = static_cast<float>(compress_column(window.kv.col(d), window.z.col(d)));
    }
  }
}

/// Computes the error bounds of `decode`. The arguments are those of `decode`, but `bound`, f32 [B, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView plan_d) {
  const auto plans = read_plan<DecodePlan>(kOp, "plan_d", plan_d);
  const OfflineTensors t = offline_tensors(kOp, kv_buffer, kv_input, bound, ape, std::nullopt);
  check_plan(t, plans);
  for (std::size_t b = 0; b < plans.size(); ++b) {
    row_of(t.output, b) = 0.0f;
    if (!completes(t, plans[b])) continue;
    // The state does not have the new rows here. A request reads only one new row, its own, and takes it from
    // the input.
    const auto state = [&](std::int64_t page, std::int64_t row) -> Eigen::ArrayXf {
      if (kGroup * page + row == plans[b].write_loc) return row_of(t.input, b);
      return row_of(t.state, page, row);
    };
    const Window window = window_of_request(t, plans[b], state);
    for (std::int64_t d = 0; d < t.head_dim(); ++d) {
      t.output(b, d) = float_above(compress_column_bound(window.kv.col(d), window.z.col(d)));
    }
  }
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c4_decode", "compress_c4_decode/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c4_decode", "bound", "");

}  // namespace dsv4::reference
