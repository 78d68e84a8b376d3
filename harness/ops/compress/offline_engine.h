/// Runs growing requests through planners and the ops of offline compression. Carries the state from call to call.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/v1_state.h"

namespace dsv4 {

/// The set that an engine calls. The subject is the set under test. Its findings fail the case. With the reference, the
/// engine also collects bounds.
enum class Side { kSubject, kReference };

/// At first, all state rows are NaN. An entry is stored under its request id and the position of its last token. The
/// argument `where` names the step in messages.
class OfflineEngine {
 public:
  OfflineEngine(ScenarioContext& x, Side side, const Batch& requests, std::int64_t longest);

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// Prefills `extend[b]` more tokens of request b.
  void prefill(const std::vector<std::int64_t>& extend, bool lens_on_device, const std::string& where);
  /// A step of speculative decoding: prefills `drafts` draft tokens of each request. Request b keeps the first
  /// `accepted[b]`. Its other drafts are rejected: they are removed, with their entries.
  void verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where);
  /// Decodes one token of each request.
  void decode(const std::string& where);

  /// The entries so far, their keys (they show missing entries), and the state rows that later entries read.
  [[nodiscard]] Observation observed() const;
  /// Bounds of the entries, in the order of observed(). Only for Side::kReference.
  [[nodiscard]] HostTensor bounds() const { return stacked(bounds_); }

 private:
  /// The row of kv_output that holds an entry, by the entry's key (request id, position).
  using OutputRows = std::map<KeyedRows::key_type, std::int64_t>;

  CallResult call(const std::string& where, const Call& call);
  void prefill_step(const Batch& step, const HostTensor& input, bool lens_on_device, const std::string& where);
  void prefill_step_v1(const Batch& step, const HostTensor& input, bool lens_on_device, const std::string& where);
  /// The pages of a V1 prefill call. If the set does not have paged_compress_data, the reference makes them.
  V1Pages v1_pages(const Batch& step, const std::string& where);
  /// State row of a token.
  [[nodiscard]] RowOf row_of() const { return v1_ ? v1_->row_of() : requests_.maps().row_of(); }
  /// A call of the V2 op of `step`, "decode" or "prefill", with these plans.
  [[nodiscard]] Call v2_call(const char* step, const HostTensor& input, const std::vector<HostTensor>& plans) const;
  /// Makes the call of a compressor, stores the new state, and collects the entries.
  void compress(const std::string& where, const Call& made, const OutputRows& rows);

  ScenarioContext& x_;
  Side side_;
  OfflineTokens tokens_;
  GrowingBatch requests_;
  std::optional<V1State> v1_;
  HostTensor state_;
  KeyedRows entries_;
  KeyedRows bounds_;
};

}  // namespace dsv4
