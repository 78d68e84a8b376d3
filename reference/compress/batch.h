/// Defines the sets of tokens of a prefill batch that a plan names, in one line each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

/// One query token of a ragged batch.
struct QueryToken {
  std::int64_t request;   ///< index in the batch
  std::int64_t position;  ///< position in the request
  std::int64_t ragged;    ///< row in the batch
};

/// Every token of the batch in ragged order: request b has positions [seq_lens[b] - extend_lens[b], seq_lens[b]).
inline std::vector<QueryToken> query_tokens(const Numbers& seq_lens, const Numbers& extend_lens) {
  std::vector<QueryToken> tokens;
  for (std::int64_t b = 0; b < seq_lens.size(0); ++b) {
    for (std::int64_t position = seq_lens(b) - extend_lens(b); position < seq_lens(b); ++position) {
      tokens.push_back({b, position, static_cast<std::int64_t>(tokens.size())});
    }
  }
  return tokens;
}

/// Number of tokens that make one compressed entry: those of its own group and, at ratio 4, of the previous group.
inline std::int64_t window_of(std::int64_t ratio) { return ratio == 4 ? 8 : ratio; }

/// Whether the token at `position` completes a compressed entry.
inline bool completes_entry(std::int64_t position, std::int64_t ratio) { return (position + 1) % ratio == 0; }

/// How many leading entries of the window that ends at `position` lie before the batch, which starts at `prefix`.
inline std::int64_t entries_before_batch(std::int64_t position, std::int64_t prefix, std::int64_t window) {
  return window - std::min(position - prefix + 1, window);
}

/// First position whose row later entries may still need. It starts the open group, or at ratio 4 the previous group.
inline std::int64_t first_live(std::int64_t seq_len, std::int64_t ratio) {
  return ratio * (seq_len / ratio) - (ratio == 4 ? 4 : 0);
}

/// Refuses lengths that do not describe a batch of `num_q_tokens` rows.
///
/// If `underfilled`, the batch may leave rows unused, and requests may have no tokens. Such a plan has a fixed size,
/// for the largest batch of a captured graph. Otherwise each request must have 1 <= extend <= length, and the batch
/// must fill the rows exactly.
inline void check_lengths(const char* op, const Numbers& seq_lens, const Numbers& extend_lens,
                          std::int64_t num_q_tokens, bool underfilled) {
  const std::int64_t least = underfilled ? 0 : 1;
  std::int64_t sum = 0;
  for (std::int64_t b = 0; b < seq_lens.size(0); ++b) {
    const std::string index = "[" + std::to_string(b) + "] = ";
    if (extend_lens(b) < least) {
      refuse(op, "extend_lens", index + std::to_string(extend_lens(b)) + " must be at least " + std::to_string(least));
    }
    if (extend_lens(b) > seq_lens(b)) {
      refuse(op, "extend_lens",
             index + std::to_string(extend_lens(b)) + " must be at most the length " + std::to_string(seq_lens(b)));
    }
    if (seq_lens(b) > 0x7fffffff) {
      refuse(op, "seq_lens", index + std::to_string(seq_lens(b)) + " must be at most 2^31 - 1");
    }
    sum += extend_lens(b);
  }
  if (underfilled ? sum > num_q_tokens : sum != num_q_tokens) {
    refuse(op, "extend_lens",
           std::string("the sum must be ") + (underfilled ? "at most " : "") + std::to_string(num_q_tokens) +
               ", the number of rows of the batch, got " + std::to_string(sum));
  }
}

}  // namespace dsv4::reference
