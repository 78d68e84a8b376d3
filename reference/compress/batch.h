/// Defines which tokens of a prefill batch a plan names. Each set has a definition of one line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

/// One token of a batch. In a batch, the tokens of one request come after those of the request before it
/// (ragged order).
struct QueryToken {
  std::int64_t request;   ///< index of the request in the batch
  std::int64_t position;  ///< position of the token in the request
  std::int64_t ragged;    ///< row of the token in the batch
};

/// Returns every token of the batch in ragged order. The positions of request b go from `seq_lens[b] - extend_lens[b]`
/// to `seq_lens[b] - 1`.
inline std::vector<QueryToken> query_tokens(const Numbers& seq_lens, const Numbers& extend_lens) {
  std::vector<QueryToken> tokens;
  for (std::int64_t b = 0; b < seq_lens.size(0); ++b) {
    for (std::int64_t position = seq_lens(b) - extend_lens(b); position < seq_lens(b); ++position) {
      tokens.push_back({b, position, static_cast<std::int64_t>(tokens.size())});
    }
  }
  return tokens;
}

/// Returns the number of tokens that make one compressed entry: the tokens of its own group and, at ratio 4, also those
/// of the previous group.
inline std::int64_t window_of(std::int64_t ratio) { return ratio == 4 ? 8 : ratio; }

/// True if the token at `position` completes a compressed entry.
inline bool completes_entry(std::int64_t position, std::int64_t ratio) { return (position + 1) % ratio == 0; }

/// Returns how many tokens of the window that ends at `position` are before the batch. The request's first token in the
/// batch is at `prefix`.
inline std::int64_t window_before_batch(std::int64_t position, std::int64_t prefix, std::int64_t window) {
  return window - std::min(position - prefix + 1, window);
}

/// Returns the first position whose row a later entry may still need. It is the start of the open group (the tokens
/// after the last complete group). At ratio 4, it is the start of the last complete group.
inline std::int64_t first_live(std::int64_t seq_len, std::int64_t ratio) {
  return ratio * (seq_len / ratio) - (ratio == 4 ? 4 : 0);
}

/// Throws unless the lengths describe a batch of `num_q_tokens` rows.
///
/// If `underfilled` is true, the batch may have fewer tokens than rows, and a request may have no token in the batch. A
/// plan for a captured graph needs this: it has a fixed size, which is that of the graph's largest batch. If
/// `underfilled` is false, 1 <= extend_lens[b] <= seq_lens[b] must be true for each request, and the batch must have
/// exactly `num_q_tokens` tokens.
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
