/// What the two ops of C4 compression have in common: the data of their tokens, and how calls are observed, compared
/// and counted. They differ in the plans that say what a call writes.
///
/// Entries are compared within the error bound that the reference computes beside each value. Kept rows are copies, so
/// they are exact. Rows of the state that are not live are NaN: a read of one shows in the entry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"

namespace dsv4 {

/// Positions per page of the cache. The state has a ring of rows for each page.
inline constexpr std::int64_t kC4CachePage = 256;

/// Why entries may differ from the reference by the bound that it computes beside each value.
inline constexpr const char* kC4BoundReason =
    "float softmax over eight entries: rounding of the biased scores, fast exponential (2 + 1.173 |x| ulp, weighted), "
    "eight products, division of 2 ulp; computed per element beside the value";

/// The parameters that both ops begin with: head_dim, ring, fill.
Space c4_space();

/// Names of the data that a case can be filled with:
///   gauss    kv, scores and bias roughly normal, full mantissas
///   equal    equal scores, kv small integers: means are exact
///   steps    scores and bias in steps of 16, kv small integers: one entry takes all, or equal ones share
///   large    scores of some thousands, both signs
///   cleared  some rows reset (kv 0, score minus infinity), as a pool resets them
///   wide     kv of all magnitudes, so that a sum in the wrong precision shows
///   nan      NaN in some columns of kv or scores
inline const std::vector<std::string> kC4Fills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};

/// The tokens of a case. A token's row follows from the case, the request id and the position alone. It has 4H columns,
/// where H is head_dim: two blocks of kv, then two blocks of scores. The first block of a kind goes into the entry of
/// the next group, the second into the entry of the token's own group.
class C4Tokens {
 public:
  C4Tokens(const Params& p, std::uint64_t seed);

  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }
  /// f32 [tokens, 4H]: rows of a batch, in ragged order. Request b's tokens at and after position `rejected_from[b]`,
  /// if given, are drafts that will be rejected: they differ from the tokens that take their positions later.
  [[nodiscard]] HostTensor input(const Batch& batch, const std::vector<std::int64_t>& rejected_from = {}) const;
  /// f32 [rows / 4, 4, 4H]: the state in which the first `lengths[b]` tokens of each request left the rows that are
  /// live. All other rows are NaN.
  [[nodiscard]] HostTensor state(const CacheMaps& maps, const std::vector<std::int64_t>& request_ids,
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

/// What a call writes, as its plans say.
struct C4Written {
  std::vector<std::int64_t> entries;  ///< rows of kv_output, H wide, in the order in which they are compared
  std::vector<std::int64_t> kept;     ///< rows of kv_buffer, 4H wide, likewise
};

class C4Op : public Op {
 public:
  using Op::Op;

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  /// Allows the call to write what its plans say and nothing else.
  void fit(Call& call) const override;
  /// "kv_output", the entries, and "kept_rows".
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  /// Entries lie within the error bound that the reference computes beside each value. Kept rows are exact.
  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// State pages of an older kernel, and a state that is spread out.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 protected:
  [[nodiscard]] virtual C4Written written(const Call& call) const = 0;
};

/// Sequences of planners' and C4 kernels' calls, compared with one call or with a serial replay (c4_sequences.cpp).
std::vector<Scenario> c4_prefill_sequences(const Op& op);  ///< chunked_prefill, prefill_then_decode
std::vector<Scenario> c4_decode_sequences(const Op& op);   ///< decode_equals_prefill, verify_then_decode

}  // namespace dsv4
