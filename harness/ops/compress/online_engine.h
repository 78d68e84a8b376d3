/// Runs growing requests through the planners and compressors of online compression. Carries the state from call
/// to call.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/ops/compress/online_op.h"
#include "harness/ops/compress/online_v1_op.h"

namespace dsv4 {

/// For an op of V1, these are the planners and compressors of V1. At first, all slots are NaN. An entry is stored under
/// its request id and the position of its last token. The argument `where` names the step in messages.
class OnlineEngine {
 public:
  /// Calls the set under test. Its findings fail the case. `generation` selects the requests' places in the cache:
  /// later requests have other slots than earlier ones, out of the same.
  OnlineEngine(ScenarioContext& x, const Batch& requests, std::int64_t longest, std::uint64_t generation = 0);
  /// Goes on with the state of `before`, whose requests have ended.
  OnlineEngine(const OnlineEngine& before, const Batch& requests, std::int64_t longest, std::uint64_t generation);

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// Prefills `extend[b]` more tokens of request b.
  void prefill(const std::vector<std::int64_t>& extend, const std::string& where);
  /// Decodes one token of each request.
  void decode(const std::string& where);

  /// Compares with a replay, in which the reference prefills all tokens in one call. Entries and open groups must be
  /// within bounds that allow for the number of steps. The largest scores of open groups must be equal.
  void expect_as_replayed(const std::string& where) const;

 private:
  /// The row of kv_output that holds an entry, by the entry's key (request id, position).
  using OutputRows = std::map<KeyedRows::key_type, std::int64_t>;

  void prefill_v1(const Batch& step, const std::string& where);
  /// The slots of a V1 prefill. If the set cannot make them, the reference does.
  V1Pages v1_slots(const Batch& step, const std::string& where);
  /// Makes a call of a compressor, stores the new state, and collects the entries.
  void compress(const std::string& where, const Call& made, const OutputRows& rows);
  [[nodiscard]] std::int64_t slots() const { return v1_ ? v1_->count() : requests_.maps().rows(); }
  /// The slot of a group, by its request and the position of its first token.
  [[nodiscard]] RowOf slot_of() const { return v1_ ? v1_->slot_of() : requests_.maps().row_of(); }
  /// Slots of the open groups.
  [[nodiscard]] std::vector<std::int64_t> open_slots() const;

  ScenarioContext& x_;
  OnlineTokens tokens_;
  GrowingBatch requests_;
  std::optional<OnlineV1Slots> v1_;
  HostTensor state_;
  KeyedRows entries_;
  std::int64_t steps_ = 0;
};

}  // namespace dsv4
