/// Computes two sets of tokens of a prefill batch: the tokens that complete a compressed entry, and the tokens that are
/// kept in the state.
///
/// Each set of a request consists of at most two regular sequences of positions. So formulas give the size of a set and
/// its k-th token, without a loop over tokens. With these formulas, the thread that fills a plan row finds the token of
/// the row. A plan is therefore in token order, both on the host and on the device.
#pragma once

#include <cstdint>

#include "kernels/common/device.h"

namespace dsv4 {

#define DSV4_HOST_DEVICE __host__ __device__ inline

/// The rule by which tokens of a request are kept. The tokens of the open group (those after the last complete group)
/// are always kept.
struct SetRule {
  std::int32_t ratio;    ///< tokens per compressed entry
  std::int32_t overlap;  ///< tokens of the last complete group that the next entry also reads: `ratio` or 0
  std::int32_t pad;      ///< number of last tokens that are also kept, because speculative decoding may reject tokens
  /// Page size of the cache if the last `ratio` tokens of each page (the page-tail tokens) are also kept, for requests
  /// that reuse a prefix. Otherwise 0.
  std::int32_t tail_page;

  DSV4_HOST_DEVICE std::int32_t window() const { return ratio + overlap; }

  /// Returns the number of page-tail tokens at positions below `end`.
  DSV4_HOST_DEVICE std::int32_t tails_below(std::int32_t end) const {
    if (tail_page == 0) return 0;
    const std::int32_t into_tail = end % tail_page - (tail_page - ratio);
    return end / tail_page * ratio + (into_tail > 0 ? into_tail : 0);
  }
  /// Returns the position of page-tail token number `index`, counted from 0.
  DSV4_HOST_DEVICE std::int32_t tail_position(std::int32_t index) const {
    return index / ratio * tail_page + tail_page - ratio + index % ratio;
  }
};

/// The two sets of one request: the tokens that complete an entry, and the tokens that are kept.
struct RequestSets {
  std::int32_t prefix;   ///< position of the request's first token in the batch; negative only if extend_len > seq_len
  std::int32_t tokens;   ///< number of tokens in the batch
  std::int32_t entries;  ///< number of tokens that complete an entry
  std::int32_t kept;  ///< number of kept tokens: first `tails` page-tail tokens, then every token from `kept_from` on
  std::int32_t tails;
  std::int32_t kept_from;
  std::int32_t first;  ///< `prefix`, but at least 0
  SetRule rule;

  DSV4_HOST_DEVICE std::int32_t entry_position(std::int32_t k) const {
    return rule.ratio * (first / rule.ratio + 1 + k) - 1;
  }
  DSV4_HOST_DEVICE std::int32_t kept_position(std::int32_t k) const {
    return k < tails ? rule.tail_position(rule.tails_below(first) + k) : kept_from + k - tails;
  }
  /// Returns how many tokens of the window that ends at `position` are before the batch.
  DSV4_HOST_DEVICE std::int32_t window_before_batch(std::int32_t position) const {
    const std::int64_t in_batch = std::int64_t{position} - prefix + 1;
    return in_batch < rule.window() ? static_cast<std::int32_t>(rule.window() - in_batch) : 0;
  }
};

/// Returns the sets of a request of `seq_len` tokens. The last `extend_len` of them are in the batch. Lengths on the
/// device cannot be checked by the host. So a negative length counts as 0, a length above 2^31 - 1 counts as 2^31 - 1,
/// and the sets never have positions below 0, even if `extend_len` is larger than `seq_len`.
DSV4_HOST_DEVICE RequestSets request_sets(const SetRule& rule, std::int64_t seq_len, std::int64_t extend_len) {
  const auto bounded = [](std::int64_t n) {
    return static_cast<std::int32_t>(n < 0 ? 0 : n > 0x7FFFFFFF ? 0x7FFFFFFF : n);
  };
  const std::int32_t length = bounded(seq_len);
  RequestSets sets{};
  sets.rule = rule;
  sets.tokens = bounded(extend_len);
  sets.prefix = length - sets.tokens;
  sets.first = sets.prefix > 0 ? sets.prefix : 0;
  sets.entries = length / rule.ratio - sets.first / rule.ratio;
  const std::int32_t live = length / rule.ratio * rule.ratio - rule.overlap;
  const std::int32_t padded = length - rule.pad;
  const std::int32_t from = live < padded ? live : padded;
  sets.kept_from = from > sets.first ? from : sets.first;
  sets.tails = rule.tails_below(sets.kept_from) - rule.tails_below(sets.first);
  sets.kept = sets.tails + length - sets.kept_from;
  return sets;
}

}  // namespace dsv4
