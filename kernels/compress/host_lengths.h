/// Checks the lengths of a prefill batch if they are in host memory.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/check.h"

namespace dsv4 {

/// Throws unless the lengths describe a batch of `rows` tokens.
inline void check_host_lengths(const ArgumentCheck& check, const std::int64_t* seq_lens,
                               const std::int64_t* extend_lens, std::int64_t requests, std::int64_t rows) {
  std::int64_t tokens = 0;
  for (std::int64_t b = 0; b < requests; ++b) {
    check.require(seq_lens[b] <= 0x7FFFFFFF, "seq_lens", "[", b, "] = ", seq_lens[b], " must be at most 2^31 - 1");
    check.require(extend_lens[b] > 0 && extend_lens[b] <= seq_lens[b], "extend_lens", "[", b, "] = ", extend_lens[b],
                  " must be at least 1 and at most the length ", seq_lens[b]);
    tokens += extend_lens[b];
  }
  check.require(tokens == rows, "extend_lens", "the sum must be ", rows, ", the number of rows of the batch, got ",
                tokens);
}

}  // namespace dsv4
