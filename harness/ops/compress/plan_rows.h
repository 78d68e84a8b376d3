/// Plans as the harness reads them: their entries, the checks that need no other side, and a canonical order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"
#include "harness/op/records.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// Tokens that a compressed entry combines.
inline std::int64_t window_of(std::int64_t ratio) { return ratio == 4 ? 8 : ratio; }

/// Window entries of the token that lie before the batch: the first ones.
inline std::int64_t window_before_batch(const BatchToken& token, std::int64_t ratio) {
  return std::max<std::int64_t>(window_of(ratio) - (token.position - token.prefix + 1), 0);
}

/// Whether the entry reads the page of the group before. Only ratio 4 does, for the first four window entries, where
/// they exist.
inline bool reads_page_before(const layout::CompressPlan& e, std::int64_t ratio) {
  return ratio == 4 && e.buffer_len > 0 && e.seq_len > 4;
}
/// Whether the entry reads the page of its own group.
inline bool reads_own_page(const layout::CompressPlan& e, std::int64_t ratio) {
  return e.buffer_len > (ratio == 4 ? 4 : 0);
}

/// A plan tensor u8 [n, sizeof(Record)] of these records.
template <class Record>
HostTensor plan_tensor(const std::vector<Record>& records) {
  return tensor_of_rows(DType::kU8, records);
}

inline bool is_sentinel(const layout::CompressPlan& p) { return p.seq_len == layout::kNoEntry; }
inline bool is_sentinel(const layout::WritePlan& p) { return p.ragged_id == layout::kNoEntry; }
inline bool is_sentinel(const layout::TokenPlan& p) { return p.ragged_id == layout::kNoEntry; }

/// The record that pads plans of this kind.
template <class Record>
inline constexpr Record kSentinel = layout::kNoToken;
template <>
inline constexpr layout::CompressPlan kSentinel<layout::CompressPlan> = layout::kNoCompress;
template <>
inline constexpr layout::WritePlan kSentinel<layout::WritePlan> = layout::kNoWrite;

/// The rows that are no sentinels. Finding "sentinel": a sentinel with other bytes, or an entry behind a sentinel.
template <class Record>
std::vector<Record> valid_entries(const std::vector<Record>& rows, const std::string& name, Observation& o) {
  return without_padding(
      rows, kSentinel<Record>, [](const Record& row) { return is_sentinel(row); }, name, o);
}

/// What the plans of a prefill batch must satisfy whatever their addresses.
struct PrefillPlanPromise {
  Batch batch;
  std::int64_t ratio = 0;       ///< V2 only
  std::int64_t state_rows = 0;  ///< rows of the state: addresses lie below. V2 only
  std::int64_t plan_rows = -1;  ///< rows of both plans if padded; -1: as many as there are entries
  bool in_token_order = false;  ///< true for plans from lengths on the host
};

/// Canonical outputs of a V2 prefill plan: "compress_plan" i32 [n, 5] (token, length, window entries from the state,
/// two pages) and "write_plan" i32 [n, 2] (token, state row), in token order, and "compress_count", "write_count" i64
/// [2] (rows, entries). Page fields that nobody reads are masked with -1. Findings: form, sentinel, count, range,
/// content, duplicate, order.
Observation observe_prefill_plan(const PrefillPlanPromise& promise, const HostTensor& plan_c, const HostTensor& plan_w);

/// Canonical outputs of the V1 plans that a call wrote: "compress_plan" and "write_plan" i32 [n, 4] (token, request,
/// position, window entries before the batch), in token order, and "compress_count", "write_count" i64 [2] (rows that
/// the function returned as used, entries). Findings: form, sentinel, count, range, content, duplicate, order.
Observation observe_token_plans(const PrefillPlanPromise& promise, const CallResult& result);

/// Canonical output "plan" i32 [n, 4] of a V2 decode plan (length, state row, two pages). Findings: form, count,
/// content, range, duplicate.
///
/// No field is masked, although some have no reader: the page before is read only at ratio 4, and not in the first
/// group. Planners fill it in every row all the same. Recorded goldens hold the rows as they came, so masking would
/// mean to record all of them again, those from a GPU included.
Observation observe_decode_plan(const Batch& batch, std::int64_t ratio, std::int64_t state_rows,
                                const HostTensor& plan_d);

}  // namespace dsv4
