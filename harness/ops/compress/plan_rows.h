/// Reads plans: their entries, the checks that need no second plan, and outputs in a canonical order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"
#include "harness/op/records.h"
#include "harness/op/rows.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// Number of tokens that a compressed entry combines: its window.
inline std::int64_t window_of(std::int64_t ratio) { return ratio == 4 ? 8 : ratio; }

/// How many positions of the token's window are before the batch's tokens of the request. A position may be negative.
inline std::int64_t window_before_batch(const BatchToken& token, std::int64_t ratio) {
  return std::max<std::int64_t>(window_of(ratio) - (token.position - token.prefix + 1), 0);
}

/// Whether the entry reads the state page of the previous group. Only an entry of ratio 4 does, for the first four
/// tokens of its window, if there is a previous group.
inline bool reads_page_before(const layout::CompressPlan& e, std::int64_t ratio) {
  return ratio == 4 && e.buffer_len > 0 && e.seq_len > 4;
}
/// Whether the entry reads the state page of its own group.
inline bool reads_own_page(const layout::CompressPlan& e, std::int64_t ratio) {
  return e.buffer_len > (ratio == 4 ? 4 : 0);
}

/// Whether the token of the record completes a group. Kernels look at the length at ratio 4, and at the row of the
/// token in its state page at ratio 128. Planners give both the same remainder.
inline bool completes_group(const layout::DecodePlan& d, std::int64_t ratio) {
  return ratio == 4 ? d.seq_len % 4 == 0 : d.write_loc % ratio == ratio - 1;
}

/// A plan tensor u8 [n, sizeof(Record)] of these records.
template <class Record>
HostTensor plan_tensor(const std::vector<Record>& records) {
  return tensor_of_rows(DType::kU8, records);
}

inline bool is_sentinel(const layout::CompressPlan& p) { return p.seq_len == layout::kNoEntry; }
inline bool is_sentinel(const layout::WritePlan& p) { return p.ragged_id == layout::kNoEntry; }
inline bool is_sentinel(const layout::TokenPlan& p) { return p.ragged_id == layout::kNoEntry; }

/// The sentinel: the record that fills unused rows of plans of this kind.
template <class Record>
inline constexpr Record kSentinel = layout::kNoToken;
template <>
inline constexpr layout::CompressPlan kSentinel<layout::CompressPlan> = layout::kNoCompress;
template <>
inline constexpr layout::WritePlan kSentinel<layout::WritePlan> = layout::kNoWrite;

/// A plan of these entries, followed by `slack` sentinels. The entries are in random order if order=shuffled.
template <class Record>
HostTensor arranged(std::vector<Record> records, const Case& c, const char* stream) {
  if (c.params.is("order", "shuffled")) {
    const auto order = Random(c.seed, stream).permutation(std::ssize(records));
    records = records_of<Record>(rows_of(plan_tensor(records), order));
  }
  records.insert(records.end(), static_cast<std::size_t>(c.params.integer("slack")), kSentinel<Record>);
  return plan_tensor(records);
}

/// The rows that are not sentinels. Finding "sentinel": a sentinel has wrong bytes, or an entry comes after a sentinel.
template <class Record>
std::vector<Record> valid_entries(const std::vector<Record>& rows, const std::string& name, Observation& o) {
  return without_padding(
      rows, kSentinel<Record>, [](const Record& row) { return is_sentinel(row); }, name, o);
}

/// Requirements on the plans of a prefill batch that can be checked without the maps.
struct PrefillPlanPromise {
  Batch batch;
  std::int64_t ratio = 0;       ///< V2 only
  std::int64_t state_rows = 0;  ///< number of state rows; a plan names only rows below it. V2 only
  std::int64_t plan_rows = -1;  ///< rows of each plan if padded; -1: one for each entry
  bool in_token_order = false;  ///< true for plans from lengths on the host
};

/// Canonical outputs of a V2 prefill plan: "compress_plan" i32 [n, 5] (token, length, number of window tokens in the
/// state, two pages), "write_plan" i32 [n, 2] (token, state row), both in token order, and "compress_count",
/// "write_count" i64 [2] (number of rows, number of entries). A page field that no kernel reads is -1. Findings: form,
/// sentinel, count, range, content, duplicate, order.
Observation observe_prefill_plan(const PrefillPlanPromise& promise, const HostTensor& plan_c, const HostTensor& plan_w);

/// Canonical outputs of V1 plans: "compress_plan", "write_plan" i32 [n, 4] (token, request, position, number of window
/// tokens before the batch), in token order, and "compress_count", "write_count" i64 [2] (number of used rows as
/// returned, number of entries). Findings: form, sentinel, count, range, content, duplicate, order.
Observation observe_token_plans(const PrefillPlanPromise& promise, const CallResult& result);

/// Canonical output "plan" i32 [n, 4] of a V2 decode plan (length, state row, two pages). Findings: form, count,
/// content, range, duplicate.
///
/// No field is masked, although kernels read the page of the previous group only at ratio 4, and not in the first
/// group. Planners fill this field in every row. The goldens, including those from a GPU, were recorded without a mask.
/// With a mask, all of them would have to be recorded again.
Observation observe_decode_plan(const Batch& batch, std::int64_t ratio, std::int64_t state_rows,
                                const HostTensor& plan_d);

}  // namespace dsv4
