/// Computes in closed form which tokens of a prefill batch complete a compressed entry, and which are kept
/// in the state.
///
/// Each set of a request consists of at most two regular sequences of positions. So formulas give its size and its k-th
/// member, without a loop over tokens, and a plan row finds its own token. A plan is therefore in token order, whether
/// the host or the device makes it.
#pragma once

#include <cstdint>

#include "kernels/common/device.h"

namespace dsv4 {

#define DSV4_HOST_DEVICE __host__ __device__ inline

/// What a plan keeps of each request in addition to its open group.
struct SetRule {
  std::int32_t ratio;      ///< tokens per compressed entry
  std::int32_t overlap;    ///< rows of the previous group that the next entry also reads: `ratio` or 0
  std::int32_t pad;        ///< trailing tokens that are kept because a verify step may take them back
  std::int32_t tail_page;  ///< cache page size if the last `ratio` tokens of each page are kept for later reuse; else 0

  DSV4_HOST_DEVICE std::int32_t window() const { return ratio + overlap; }

  /// Number of page-tail tokens at positions below `end`.
  DSV4_HOST_DEVICE std::int32_t tails_below(std::int32_t end) const {
    if (tail_page == 0) return 0;
    const std::int32_t into_tail = end % tail_page - (tail_page - ratio);
    return end / tail_page * ratio + (into_tail > 0 ? into_tail : 0);
  }
  /// Position of the page-tail token number `index`.
  DSV4_HOST_DEVICE std::int32_t tail_position(std::int32_t index) const {
    return index / ratio * tail_page + tail_page - ratio + index % ratio;
  }
};

/// The two sets of one request.
struct RequestSets {
  std::int32_t prefix;   ///< first position of the batch; negative only if the lengths are inconsistent
  std::int32_t tokens;   ///< tokens in the batch
  std::int32_t entries;  ///< tokens that complete an entry
  std::int32_t kept;     ///< tokens kept: `tails` page-tail tokens, then every token from `kept_from` on
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
  /// How many leading entries of the window that ends at `position` lie before the batch.
  DSV4_HOST_DEVICE std::int32_t window_before_batch(std::int32_t position) const {
    const std::int32_t in_batch = position - prefix + 1;
    return in_batch < rule.window() ? rule.window() - in_batch : 0;
  }
};

/// The sets of a request of `seq_len` tokens, of which the last `extend_len` are in the batch. Lengths on a device
/// cannot be refused, so a negative length counts as 0. If a request claims more new tokens than its length, its sets
/// have no positions below 0.
DSV4_HOST_DEVICE RequestSets request_sets(const SetRule& rule, std::int64_t seq_len, std::int64_t extend_len) {
  const std::int32_t length = seq_len > 0 ? static_cast<std::int32_t>(seq_len) : 0;
  RequestSets sets{};
  sets.rule = rule;
  sets.tokens = extend_len > 0 ? static_cast<std::int32_t>(extend_len) : 0;
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
