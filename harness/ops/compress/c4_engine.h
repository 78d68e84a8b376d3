/// Requests that grow through planners and C4 kernels, with the state carried from call to call.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/ops/compress/c4_op.h"

namespace dsv4 {

/// Which set an engine calls. The subject's findings fail the case. The reference gives bounds besides entries.
enum class Side { kSubject, kReference };

/// The state starts as NaN. Entries are collected by request and position of their last token. `where` names a step in
/// findings.
class C4Engine {
 public:
  C4Engine(ScenarioContext& x, Side side, const Batch& requests, std::int64_t longest);

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// Prefills `extend[b]` more tokens of request b.
  void prefill(const std::vector<std::int64_t>& extend, bool lens_on_device, const std::string& where);
  /// Verifies `drafts` more tokens of each request, of which the first `accepted[b]` stay. The others are taken back,
  /// with their entries.
  void verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where);
  /// Decodes one token of each request.
  void decode(const std::string& where);

  /// The entries so far, with their keys so that missing ones show, and the state rows that later entries read.
  [[nodiscard]] Observation observed() const;
  /// Bounds of the entries, in the order of observed(). The reference's only.
  [[nodiscard]] HostTensor bounds() const { return stacked(bounds_); }

 private:
  /// Rows of an output that are entries.
  using OutputRows = std::map<KeyedRows::key_type, std::int64_t>;

  CallResult call(const std::string& where, const Call& call);
  void prefill_step(const Batch& step, const HostTensor& input, bool lens_on_device, const std::string& where);
  /// Calls a C4 op with these plans, keeps the state that it leaves, and collects its entries.
  void compress(const std::string& where, const char* op, const HostTensor& input, const std::vector<HostTensor>& plans,
                const OutputRows& rows);

  ScenarioContext& x_;
  Side side_;
  C4Tokens tokens_;
  GrowingBatch requests_;
  HostTensor state_;
  KeyedRows entries_;
  KeyedRows bounds_;
};

}  // namespace dsv4
