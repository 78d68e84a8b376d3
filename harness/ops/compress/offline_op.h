/// The common part of the two ops of C4 compression (ratio 4): tokens, observation, tolerances and costs. The ops
/// differ in their plans, which say what a call writes.
///
/// An entry may differ from the reference's entry by the bound that the reference computes. Kept rows are copies, so
/// they must be exact. State rows that no later entry needs are NaN, so an entry that reads such a row is NaN.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"

namespace dsv4 {

/// Tokens per page of the cache. The state has a ring of rows for each page.
inline constexpr std::int64_t kCachePage = 256;

/// The reason that reports give for the bound of an entry. It lists the rounding errors that the bound includes.
inline constexpr const char* kC4BoundReason =
    "float softmax over eight tokens: rounding of the biased scores, fast exponential (weighted 2 + 1.173 |x| ulp), "
    "eight products, division (2 ulp); the reference computes the bound of each element";

/// The first parameters of both ops: head_dim, ring, fill.
Space c4_space();

/// The fills of a case:
///   gauss    kv, scores and bias: nearly normal distributions, with full mantissas
///   equal    equal scores, kv small integers, so that means are exact
///   steps    scores and bias multiples of 16, kv small integers: the largest scores have almost all the weight
///   large    scores of some thousands, with both signs
///   cleared  some rows as after a reset of the pool: kv 0, scores minus infinity
///   wide     kv with magnitudes from 2^-40 to 2^41, which show a sum in the wrong precision
///   nan      some columns of kv or scores are NaN
inline const std::vector<std::string> kOfflineFills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};

/// Makes the tokens of a case. A token's row depends only on the case, the request id and the position. It has 4H
/// columns, where H is head_dim: two blocks of kv, then two blocks of scores. The first block of kv (or scores) is for
/// the entry of the next group of four tokens. The second block is for the entry of the token's own group.
class OfflineTokens {
 public:
  OfflineTokens(const Params& p, std::uint64_t seed);

  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }
  /// f32 [tokens, 4H]: the rows of a batch, request after request. If given, `rejected_from[b]` is the position from
  /// which request b's tokens are rejected drafts. A draft differs from the token that has its position later.
  [[nodiscard]] HostTensor input(const Batch& batch, const std::vector<std::int64_t>& rejected_from = {}) const;
  /// f32 [rows / 4, 4, 4H]: the state after the first `lengths[b]` tokens of each request b. It holds the rows that
  /// later entries need. All other rows are NaN.
  [[nodiscard]] HostTensor state(const CacheMaps& maps, const std::vector<std::int64_t>& request_ids,
                                 const std::vector<std::int64_t>& lengths) const {
    return state(maps.rows(), maps.row_of(), request_ids, lengths);
  }
  /// The same for `rows` rows, of which `row` gives a token's.
  [[nodiscard]] HostTensor state(std::int64_t rows, const RowOf& row, const std::vector<std::int64_t>& request_ids,
                                 const std::vector<std::int64_t>& lengths) const;
  /// A call of a C4 op with these plans. Its output has as many rows as the first plan.
  [[nodiscard]] Call call(const std::string& op, HostTensor state, HostTensor input,
                          const std::vector<HostTensor>& plans) const;

 private:
  /// The bias, f32 [8, H].
  [[nodiscard]] HostTensor ape() const;
  void fill_row(float* row, std::int64_t request_id, std::int64_t position) const;

  std::string fill_;
  std::int64_t head_dim_;
  std::uint64_t seed_;
};

/// The rows that a call writes, according to its plans, in the order of the comparison.
struct OfflineWritten {
  std::vector<std::int64_t> entries;  ///< rows of kv_output, seen as [n, H]
  std::vector<std::int64_t> kept;     ///< rows of kv_buffer, seen as [n, 4H]
};

class OfflineOp : public Op {
 public:
  using Op::Op;

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  /// Sets the footprints: the call may write only the rows that its plans name.
  void fit(Call& call) const override;
  /// Outputs: "kv_output" (the entries) and "kept_rows".
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// Contracts on state pages of eight rows and on plans that name rows outside the tensors, and a relation with a
  /// spread-out state.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  /// The rows that the call writes. Every record of its plans must name rows of the tensors.
  [[nodiscard]] virtual OfflineWritten written(const Call& call) const = 0;
};

/// Pairs of these planners and a C4 op (harness/op/pairs.h), at `points`.
std::vector<Pair> offline_pairs(const std::vector<std::string>& planners, const Points& points);
/// Contracts "<plan>_outside" for the plans of `op`: a record that names a row, a page or a token outside the tensors
/// is skipped, or has another result that does not depend on the memory around the tensors. The other records' results
/// stay the same. The record of a request without a token (length 0) may name any rows; rows of other requests stay the
/// same.
std::vector<Scenario> offline_plan_contracts(const OfflineOp& op);

/// "relation:many_tokens" of compress_c4_prefill and "relation:many_requests" of compress_c4_decode: batches whose row
/// numbers need 16 or more bits. Only a few of the rows have a record in the plans, so that the calls are cheap
/// (offline_sizes.cpp).
Scenario offline_many_tokens(const OfflineOp& op);
Scenario offline_many_requests(const OfflineOp& op);

/// Sequences of calls of planners and C4 ops. Their results are compared with those of other calls (offline_sequences.cpp).
std::vector<Scenario> offline_prefill_sequences(const Op& op);  ///< chunked_prefill, prefill_then_decode
std::vector<Scenario> offline_decode_sequences(const Op& op);   ///< decode_equals_prefill, verify_then_decode,
                                                                ///< padded_decode

}  // namespace dsv4
