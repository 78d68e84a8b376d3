/// Data of the C4 compression: rows of tokens, the bias, the state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/generate/batch.h"

namespace dsv4 {

/// Names of the data that a case can be filled with:
///   gauss    kv, scores and bias roughly normal, full mantissas
///   equal    equal scores, kv small integers: means are exact
///   steps    scores and bias in steps of 16, kv small integers: one entry takes all, or equal ones share
///   large    scores of some thousands, both signs
///   cleared  some rows reset (kv 0, score minus infinity), as a pool resets them
///   wide     kv of all magnitudes, so that a sum in the wrong precision shows
///   nan      NaN in some columns of kv or scores
const std::vector<std::string>& c4_fills();

/// The tokens of a case. A token's row follows from the case, the request id and the position alone. It has 4H columns,
/// where H is head_dim: two blocks of kv, then two blocks of scores. The first block of a kind goes into the entry of the
/// next group, the second into the entry of the token's own group.
class C4Tokens {
 public:
  C4Tokens(const Params& p, std::uint64_t seed);

  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }
  /// The bias, f32 [8, H].
  [[nodiscard]] HostTensor ape() const;
  /// f32 [tokens, 4H]: rows of a batch, in ragged order. Request b's tokens at and after position `rejected_from[b]`, if
  /// given, are drafts that will be rejected: they differ from the tokens that take their positions later.
  [[nodiscard]] HostTensor input(const Batch& batch, const std::vector<std::int64_t>& rejected_from = {}) const;
  /// f32 [rows / 4, 4, 4H]: the state in which the first `lengths[b]` tokens of each request left the rows that are
  /// live. All other rows are NaN.
  [[nodiscard]] HostTensor state(const CacheMaps& maps, const std::vector<std::int64_t>& request_ids,
                                 const std::vector<std::int64_t>& lengths) const;

 private:
  void fill_row(float* row, std::int64_t request_id, std::int64_t position) const;

  std::string fill_;
  std::int64_t head_dim_;
  std::uint64_t seed_;
};

}  // namespace dsv4
