/// Batches as reference/plans/ walks them. The ops' inputs (plans, states) and costs follow from such walks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "harness/generate/batch.h"
#include "reference/plans/records.h"

namespace dsv4 {

inline std::vector<plans::Request> requests_of(const Batch& batch) {
  std::vector<plans::Request> requests;
  for (std::size_t b = 0; b < batch.seq_lens.size(); ++b) {
    requests.push_back({batch.request_ids[b], batch.seq_lens[b], batch.extend_lens[b]});
  }
  return requests;
}

/// Positions of a request of `length` tokens that later entries read.
inline std::vector<std::int64_t> live_positions(std::int64_t length, std::int64_t ratio) {
  std::vector<std::int64_t> positions;
  const std::int64_t newest = std::min(length, 2 * ratio);  // no entry reads more tokens than two groups
  plans::walk({{0, length, newest}}, plans::grouping_of(ratio), [&](const plans::WalkedToken& token) {
    if (token.live) positions.push_back(token.position);
  });
  return positions;
}

/// Plans of a prefill batch that name no state rows. Only their numbers of records have a meaning.
inline plans::PrefillRecords counted_records(const Batch& batch, std::int64_t ratio, const plans::Keeping& keeping) {
  return plans::prefill_records(requests_of(batch), ratio, keeping, [](std::int64_t, std::int64_t) { return 0; });
}

}  // namespace dsv4
