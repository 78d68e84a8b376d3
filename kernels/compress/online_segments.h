/// Cuts the new tokens of a prefill batch at the ends of groups of 128 tokens, for online compression. The lengths are
/// on the host, and have been checked (host_lengths.h).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/compress/batch_sets.cuh"

namespace dsv4 {

inline constexpr std::int32_t kOnlineGroup = 128;  ///< tokens of a group

/// A run of new tokens of one request in one group.
struct OnlineSegment {
  std::int64_t request;
  std::int64_t last;      ///< row of its last token in the batch
  std::int32_t position;  ///< position of that token in its request
  std::int32_t tokens;    ///< number of tokens
  bool completes;         ///< true if it ends with its group
};

/// Calls visit(segment) for each segment of the batch, in token order.
template <class Visit>
void for_each_segment(const std::int64_t* seq_lens, const std::int64_t* extend_lens, std::int64_t requests,
                      Visit visit) {
  constexpr SetRule kRule{.ratio = kOnlineGroup, .overlap = 0, .pad = 0, .tail_page = 0};
  std::int64_t base = 0;
  for (std::int64_t b = 0; b < requests; ++b) {
    const RequestSets sets = request_sets(kRule, seq_lens[b], extend_lens[b]);
    // The segment that ends at `position` begins with its group, or with the batch.
    const auto segment = [&](std::int32_t position, bool completes) {
      const std::int32_t in_batch = position - sets.prefix + 1;
      visit(
          OnlineSegment{b, base + in_batch - 1, position, std::min(position % kOnlineGroup + 1, in_batch), completes});
    };
    for (std::int32_t k = 0; k < sets.entries; ++k) segment(sets.entry_position(k), true);
    if (const auto length = static_cast<std::int32_t>(seq_lens[b]); length % kOnlineGroup != 0) {
      segment(length - 1, false);
    }
    base += sets.tokens;
  }
}

}  // namespace dsv4
