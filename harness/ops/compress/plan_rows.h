/// Plans as the harness sees them: records, what is wrong with them on their own, and a canonical order.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "harness/op/op.h"
#include "harness/ops/compress/batch.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// Tokens a compressed entry looks at.
inline std::int64_t window_of(std::int64_t ratio) { return ratio == 4 ? 8 : ratio; }

/// Leading window entries of the token that lie before the batch.
inline std::int64_t window_before_batch(std::int64_t position, std::int64_t prefix, std::int64_t window) {
  return std::max<std::int64_t>(window - (position - prefix + 1), 0);
}

/// Whether the entry reads the page of the group before: for the first four window entries at ratio 4, where they
/// exist.
inline bool reads_page_before(const layout::CompressPlan& e, std::int64_t ratio) {
  return ratio == 4 && e.buffer_len > 0 && e.seq_len > 4;
}
/// Whether the entry reads the page of its own group.
inline bool reads_own_page(const layout::CompressPlan& e, std::int64_t ratio) {
  return e.buffer_len > (ratio == 4 ? 4 : 0);
}

/// The records of a plan tensor u8[n, sizeof(Record)], without a copy check of their meaning. Throws nothing: a tensor
/// of another form gives none, and `o` a finding "form".
template <class Record>
std::vector<Record> records_of(const HostTensor& plan, const std::string& name, Observation& o);

/// Entries before the first sentinel. Adds the findings "sentinel" (a sentinel with other bytes, or an entry behind
/// one).
template <class Record>
std::vector<Record> valid_entries(const std::vector<Record>& rows, const std::string& name, Observation& o);

/// What a V2 prefill plan must satisfy whatever its addresses.
struct PrefillPlanPromise {
  const Batch& batch;
  std::int64_t ratio = 0;
  std::int64_t state_rows = 0;  ///< rows of the state: addresses lie below
  std::int64_t plan_rows = -1;  ///< rows of both plans if padded; -1: as many as there are entries
  bool in_token_order = false;  ///< made from lengths on the host
};

/// Canonical outputs of a V2 prefill plan: "compress_plan" i32 [n, 5] (token, length, window entries from the state,
/// two pages) and "write_plan" i32 [n, 2] (token, state row), in token order, and "compress_count", "write_count" i64
/// [2] (rows, entries). Page fields that nobody reads are masked with -1. Findings: form, sentinel, count, range,
/// content, duplicate, order.
Observation observe_prefill_plan(const PrefillPlanPromise& promise, const HostTensor& plan_c, const HostTensor& plan_w);

/// Canonical output "plan" i32 [n, 4] of a V2 decode plan (length, state row, two pages), and findings form, content,
/// range, duplicate.
///
/// Nothing is masked, though not every field has a reader: at ratio 128 no kernel looks at the page before, nor does
/// one at ratio 4 in the first group. Planners fill it in every row all the same, and recorded goldens hold the rows as
/// they came, so that to mask it is to record all of them again, those from a GPU included.
Observation observe_decode_plan(const Batch& batch, std::int64_t ratio, std::int64_t state_rows,
                                const HostTensor& plan_d);

template <class Record>
std::vector<Record> records_of(const HostTensor& plan, const std::string& name, Observation& o) {
  if (plan.dtype != DType::kU8 || plan.rank() != 2 || plan.size(1) != static_cast<std::int64_t>(sizeof(Record))) {
    o.find("form",
           name + " is " + plan.describe() + ", expected u8 with rows of " + std::to_string(sizeof(Record)) + " bytes");
    return {};
  }
  const HostTensor packed = plan.packed();
  std::vector<Record> records(static_cast<std::size_t>(plan.size(0)));
  if (!records.empty()) std::memcpy(records.data(), packed.data<std::uint8_t>(), records.size() * sizeof(Record));
  return records;
}

inline bool is_sentinel(const layout::CompressPlan& p) { return p.seq_len == layout::kNoEntry; }
inline bool is_sentinel(const layout::WritePlan& p) { return p.ragged_id == layout::kNoEntry; }
inline bool is_sentinel(const layout::TokenPlan& p) { return p.ragged_id == layout::kNoEntry; }
inline const layout::CompressPlan& sentinel_like(const layout::CompressPlan&) { return layout::kNoCompress; }
inline const layout::WritePlan& sentinel_like(const layout::WritePlan&) { return layout::kNoWrite; }
inline const layout::TokenPlan& sentinel_like(const layout::TokenPlan&) { return layout::kNoToken; }

template <class Record>
std::vector<Record> valid_entries(const std::vector<Record>& rows, const std::string& name, Observation& o) {
  std::vector<Record> valid;
  std::size_t first_sentinel = rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!is_sentinel(rows[i])) {
      if (first_sentinel < i) {
        o.find("sentinel", name + ": row " + std::to_string(i) + " is an entry, but row " +
                               std::to_string(first_sentinel) + " is a sentinel; sentinels come last");
      }
      valid.push_back(rows[i]);
      continue;
    }
    first_sentinel = std::min(first_sentinel, i);
    if (std::memcmp(&rows[i], &sentinel_like(rows[i]), sizeof(Record)) != 0) {
      o.find("sentinel", name + ": row " + std::to_string(i) + " is a sentinel with wrong bytes");
    }
  }
  return valid;
}

}  // namespace dsv4
