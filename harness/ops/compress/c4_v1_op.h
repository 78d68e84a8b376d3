/// The common part of the two C4 ops of V1. They compute what the C4 ops of V2 compute, but other arguments say where
/// the state rows are, and the rows of kv_output are those of the batch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/v1_state.h"

namespace dsv4 {

/// The first parameters of both ops: head_dim, state, ring, fill.
Space c4_v1_space();

/// A row that a call writes, and the request (its number in the batch) that it belongs to.
struct C4V1Row {
  std::int64_t request;
  std::int64_t row;
  bool first_group = false;  ///< true for the entry of a request's first group
  bool operator==(const C4V1Row&) const = default;
};
struct C4V1Written {
  std::vector<C4V1Row> entries;  ///< rows of kv_output
  std::vector<C4V1Row> kept;     ///< rows of kv_buffer, seen as [n, 4H]
  bool operator==(const C4V1Written&) const = default;
};

class C4V1Op : public OfflineOp {
 public:
  explicit C4V1Op(OpInfo info) : OfflineOp(4, std::move(info)) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_v1_state(p, 4); }
  [[nodiscard]] OfflineWritten written(const Call& call) const override;
  /// Only at ratio 128.
  [[nodiscard]] std::vector<const float*> window_rows(const Call&, std::int64_t) const override { return {}; }
  /// The rows that the call writes, in the order of the comparison. Numbers outside the tensors are allowed: such a
  /// request, record or page is skipped.
  [[nodiscard]] virtual C4V1Written written_by(const Call& call) const = 0;
  /// Relations about a spread-out state and about places before a request's first token, and contracts on the arguments
  /// that say where state rows are.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// A call of a C4 op of V1. `lengths_or_plans` holds seq_lens, or compress_plan and write_plan.
Call c4_v1_call(const std::string& op, const OfflineTokens& tokens, HostTensor state, HostTensor input, V1Pages pages,
                std::vector<HostTensor> lengths_or_plans);

/// The state of a V1 call before the batch: it holds the rows that later entries need. All other rows are NaN.
HostTensor c4_v1_state(const OfflineTokens& tokens, const V1State& state, const std::vector<std::int64_t>& request_ids,
                       const std::vector<std::int64_t>& lengths);

/// The row of kv_buffer, seen as [n, 4H], of a token in a state page or ring; -1 if the state does not have the page.
std::int64_t c4_v1_row(const Call& call, std::int64_t page, std::int64_t position);

/// Contracts "<argument>_outside" of `op` (c4_v1_outside.cpp): a number outside its range changes only the rows of the
/// request that uses it, in a way that does not depend on the memory around the tensors.
std::vector<Scenario> c4_v1_outside(const C4V1Op& op);

}  // namespace dsv4
