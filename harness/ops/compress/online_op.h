/// The common part of the compressors of online compression at ratio 128: tokens, observation, tolerances and costs.
///
/// What a call writes may differ from the reference's result by the bounds that the reference computes. The largest
/// score of a slot must be exact. Slots that a call does not need are NaN, so a result that depends on one is NaN.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"
#include "harness/ops/compress/online_plans.h"

namespace dsv4 {

inline constexpr std::int64_t kOnlineHeadDim = 512;
inline constexpr std::int64_t kOnlineRow = 2 * kOnlineHeadDim;   ///< columns of a token: kv, score
inline constexpr std::int64_t kOnlineSlot = 3 * kOnlineHeadDim;  ///< columns of a slot: largest score, sum, mean

/// The reason that reports give for the bounds. It lists the rounding errors that they include.
inline constexpr const char* kOnlineBoundReason =
    "float softmax over a group: rounding of score differences, fast exponentials (weighted 2 + 1.173 |x| ulp), sums "
    "of limited depth, divisions (2 ulp); the reference computes the bound of each element";

/// The fills of a case. In all of them, the first token of a group has a finite score, so that a group has a mean.
///   gauss    kv, scores and bias: nearly normal distributions, with full mantissas
///   equal    equal scores, kv small integers, so that sums are exact
///   steps    scores and bias multiples of 16, kv small integers: the largest scores have almost all the weight
///   large    scores of some thousands, with both signs
///   cleared  some tokens with kv 0 and a score of minus infinity, but not all of the tokens 8 i to 8 i + 7 of a group:
///            the known fault c128-empty-part of sglang shows with these, and offline compression tries them (emptied)
///   wide     kv with magnitudes from 2^-40 to 2^41, which show a sum in the wrong precision
///   nan      some columns of kv or scores, and of sums or means in slots, are NaN
inline const std::vector<std::string> kOnlineFills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};

/// The parameter `fill`.
ParamSpec online_fill_param();
/// The first parameters of both ops of V2: state, fill.
Space online_space();

/// The running softmax of a group in a slot, before a call: its number of tokens.
struct OpenSlot {
  std::int64_t slot;
  std::int64_t tokens;
};

/// Makes the tokens of a case. A token's row depends only on the case, the request id and the position. A slot's
/// contents depend only on the case, the slot and its number of tokens: they are not those of real tokens.
class OnlineTokens {
 public:
  OnlineTokens(const Params& p, std::uint64_t seed) : fill_(p.text("fill")), seed_(seed) {}

  /// f32 [tokens, 1024]: the rows of a batch, request after request.
  [[nodiscard]] HostTensor input(const Batch& batch) const;
  /// f32 [slots, 1, 1536]: these slots are open, all others are NaN.
  [[nodiscard]] HostTensor state(std::int64_t slots, const std::vector<OpenSlot>& open) const;
  /// The slots that the records of these plans of V2 read.
  static std::vector<OpenSlot> read_by(const std::vector<layout::CompressPlan>& plan);
  static std::vector<OpenSlot> read_by(const std::vector<layout::DecodePlan>& plan);
  /// f32 [128, 512]
  [[nodiscard]] HostTensor ape() const;
  /// A call of an online compressor of V2 with these plans. Its output has as many rows as the first plan.
  [[nodiscard]] Call call(const std::string& op, HostTensor state, HostTensor input,
                          const std::vector<HostTensor>& plans) const;

 private:
  static constexpr std::int64_t kPartOfGroup = 8;

  [[nodiscard]] bool is_cleared(std::int64_t request_id, std::int64_t position) const;
  void fill_row(float* row, std::int64_t request_id, std::int64_t position) const;
  [[nodiscard]] float kv(Random& random) const;
  [[nodiscard]] float score(Random& random) const;

  std::string fill_;
  std::uint64_t seed_;
};

/// The rows that a call writes, according to its plans, in the order of the comparison.
struct OnlineWritten {
  std::vector<std::int64_t> entries;  ///< rows of kv_output
  std::vector<std::int64_t> kept;     ///< slots of kv_buffer
};

/// The ops of V2 and of V1. They compute the same. In V2, the plans name the slots.
class OnlineOp : public Op {
 public:
  using Op::Op;

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  /// Sets the footprints: the call may write only the rows that its plans name.
  void fit(Call& call) const override;
  /// Outputs: "kv_output" (the entries) and "kept_rows" (slots of open groups).
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// A contract on another form of the state; a relation with a spread-out state.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  /// The rows that the call writes. In V2, every record of its plans must name rows of the tensors.
  [[nodiscard]] virtual OnlineWritten written(const Call& call) const = 0;
  /// The slots that the call reads.
  [[nodiscard]] virtual std::vector<OpenSlot> read(const Call& call) const = 0;
  /// Calls change(slot) for each slot that the call names.
  using ChangeSlot = std::function<void(std::int32_t&)>;
  virtual void change_slots(Call& call, const ChangeSlot& change) const = 0;
  /// Number of tokens that the call adds.
  [[nodiscard]] virtual std::int64_t added(const Call& call) const = 0;
};

/// The bounds of a call: of kv_output and of kv_buffer. `merges` is the number of further steps in which an
/// implementation merges the tokens of a prefill (reference/compress/compress_c128_online_prefill.cpp).
struct OnlineBounds {
  HostTensor output;
  HostTensor state;
};
OnlineBounds online_bounds(const Call& call, Caller& reference, std::int64_t merges = 0);

/// Contracts "<plan>_outside" for the plans of `op`, an op of V2: a record that names a token or a slot outside the
/// tensors is skipped, or has another result that does not depend on the memory around the tensors. The other records'
/// results stay the same (online_outside.cpp).
std::vector<Scenario> online_plan_contracts(const OnlineOp& op);

/// Batches whose row numbers need 16 or more bits. Only a few of the rows have a record, or a token (online_sizes.cpp).
Scenario online_many_tokens(const OnlineOp& op);
Scenario online_many_requests(const OnlineOp& op);
Scenario online_many_tokens_v1(const OnlineOp& op);
Scenario online_many_requests_v1(const OnlineOp& op);

/// Sequences of calls of planners and online compressors of V2 or V1 (online_sequences.cpp).
std::vector<Scenario> online_prefill_sequences(const Op& op);  ///< chunked_prefill, prefill_then_decode, slot_reuse
std::vector<Scenario> online_decode_sequences(const Op& op);   ///< decode_steps, padded_decode

}  // namespace dsv4
