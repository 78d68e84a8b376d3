/// The common part of the ops of offline compression, which computes an entry from the rows of all its tokens at once:
/// tokens, observation, tolerances and costs. The ops differ in their ratio (4 or 128), and in their plans, which say
/// what a call writes.
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

/// Number of windows that a token is in. The token's row has a block of kv for each of them, and then a block of scores
/// for each of them.
inline std::int64_t windows_of_token(std::int64_t ratio) { return ratio == 4 ? 2 : 1; }

/// The first parameters of all ops: head_dim, ring, fill.
Space offline_space(std::int64_t ratio);

/// The fills of a case:
///   gauss    kv, scores and bias: nearly normal distributions, with full mantissas
///   equal    equal scores, kv small integers, so that means are exact
///   steps    scores and bias multiples of 16, kv small integers: the largest scores have almost all the weight
///   large    scores of some thousands, with both signs
///   cleared  some rows as after a reset of the pool: kv 0, scores minus infinity
///   emptied  the same, and at ratio 128 all rows of some parts of a window: the tokens 8 i to 8 i + 7 of a group
///   wide     kv with magnitudes from 2^-40 to 2^41, which show a sum in the wrong precision
///   nan      some columns of kv or scores are NaN
/// Ratio 4 does not have `emptied`.
std::vector<std::string> offline_fills(std::int64_t ratio);

/// Makes the tokens of a case. A token's row depends only on the case, the request id and the position. H is head_dim.
/// At ratio 128, the row has 2H columns: kv, then scores. At ratio 4, it has 4H columns: two blocks of kv, then two
/// blocks of scores. The first block of kv (or scores) is for the entry of the next group of four tokens. The second
/// block is for the entry of the token's own group.
class OfflineTokens {
 public:
  OfflineTokens(std::int64_t ratio, const Params& p, std::uint64_t seed);

  [[nodiscard]] std::int64_t ratio() const { return ratio_; }
  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }
  /// Columns of a token's row.
  [[nodiscard]] std::int64_t width() const { return 2 * windows_of_token(ratio_) * head_dim_; }
  /// f32 [tokens, width]: the rows of a batch, request after request. If given, `rejected_from[b]` is the position from
  /// which request b's tokens are rejected drafts. A draft differs from the token that has its position later.
  [[nodiscard]] HostTensor input(const Batch& batch, const std::vector<std::int64_t>& rejected_from = {}) const;
  /// f32 [rows / ratio, ratio, width]: the state after the first `lengths[b]` tokens of each request b. It holds the
  /// rows that later entries need. All other rows are NaN.
  [[nodiscard]] HostTensor state(const CacheMaps& maps, const std::vector<std::int64_t>& request_ids,
                                 const std::vector<std::int64_t>& lengths) const {
    return state(maps.rows(), maps.row_of(), request_ids, lengths);
  }
  /// The same for `rows` rows, of which `row` gives a token's. Pages have `page_rows` rows; 0: `ratio` rows.
  [[nodiscard]] HostTensor state(std::int64_t rows, const RowOf& row, const std::vector<std::int64_t>& request_ids,
                                 const std::vector<std::int64_t>& lengths, std::int64_t page_rows = 0) const;
  /// The bias, f32 [window, H].
  [[nodiscard]] HostTensor ape() const;
  /// A call of a V2 op with these plans. Its output has as many rows as the first plan.
  [[nodiscard]] Call call(const std::string& op, HostTensor state, HostTensor input,
                          const std::vector<HostTensor>& plans) const;

 private:
  void fill_row(float* row, std::int64_t request_id, std::int64_t position) const;
  /// True if the row of the token is as after a reset.
  [[nodiscard]] bool is_cleared(Random& of_row, std::int64_t request_id, std::int64_t position) const;

  std::int64_t ratio_;
  std::string fill_;
  std::int64_t head_dim_;
  std::uint64_t seed_;
};

/// The rows that a call writes, according to its plans, in the order of the comparison.
struct OfflineWritten {
  std::vector<std::int64_t> entries;  ///< rows of kv_output, seen as [n, H]
  std::vector<std::int64_t> kept;     ///< rows of kv_buffer, seen as [n, width]
};

class OfflineOp : public Op {
 public:
  OfflineOp(std::int64_t ratio, OpInfo info) : Op(std::move(info)), ratio_(ratio) {}

  [[nodiscard]] std::int64_t ratio() const { return ratio_; }
  [[nodiscard]] OfflineTokens tokens(const Case& c) const { return {ratio_, c.params, c.seed}; }
  /// The reason that reports give for the bound of an entry. It lists the rounding errors that the bound includes.
  [[nodiscard]] const char* bound_reason() const;

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  /// Sets the footprints: the call may write only the rows that its plans name.
  void fit(Call& call) const override;
  /// Outputs: "kv_output" (the entries) and "kept_rows".
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// Contracts on state pages of another size and on plans that name rows outside the tensors, and a relation with a
  /// spread-out state.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  /// `empty_part`, for each element of an entry at ratio 128: 1 if all scores of a part of the window (the tokens
  /// 8 i to 8 i + 7 of the group) are minus infinity in this column.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override;
  /// The rows that the call writes. Every record of its plans must name rows of the tensors.
  [[nodiscard]] virtual OfflineWritten written(const Call& call) const = 0;
  /// The rows of the tokens of the window of `entry`, a row of kv_output. Only at ratio 128. Empty if the record names
  /// a row outside the tensors.
  [[nodiscard]] virtual std::vector<const float*> window_rows(const Call& call, std::int64_t entry) const = 0;

 private:
  std::int64_t ratio_;
};

/// The op of a scenario.
const OfflineOp& offline_op(const ScenarioContext& x);

/// Pairs of these planners and an op (harness/op/pairs.h), at `points`.
std::vector<Pair> offline_pairs(std::int64_t ratio, const std::vector<std::string>& planners, const Points& points);
/// Contracts "<plan>_outside" for the plans of `op`: a record that names a row, a page or a token outside the tensors
/// is skipped, or has another result that does not depend on the memory around the tensors. The other records' results
/// stay the same. The record of a request without a token (length 0) may name any rows; rows of other requests stay the
/// same.
std::vector<Scenario> offline_plan_contracts(const OfflineOp& op);

/// Sets the scores in rows of 4H columns to -1e15. Rows of the state that no entry reads are NaN, and stay so.
void set_low_scores(HostTensor& rows);
/// "relation:absent_places" of V2 at ratio 4: places before a request's first token have no weight, however low the
/// scores of its tokens are. At the points, all scores of a case must be equal.
Scenario offline_absent_places(const Points& points);

/// "relation:many_tokens" of prefill and "relation:many_requests" of decode: batches whose row numbers need 16 or more
/// bits. Only a few of the rows have a record in the plans, so that the calls are cheap (offline_sizes.cpp).
Scenario offline_many_tokens(const OfflineOp& op);
Scenario offline_many_requests(const OfflineOp& op);

/// Sequences of calls of planners and ops, at `points`. Their results are compared with those of other calls
/// (offline_sequences.cpp).
std::vector<Scenario> offline_prefill_sequences(const Points& points);  ///< chunked_prefill, prefill_then_decode
std::vector<Scenario> offline_decode_sequences(const Points& points);   ///< decode_equals_prefill, verify_then_decode
Scenario offline_decode_equals_prefill(const Points& points);           ///< only this one of them
Scenario offline_padded_decode(const Points& points);                   ///< of V2

}  // namespace dsv4
