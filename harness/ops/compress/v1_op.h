/// The common part of the V1 compressors, at ratio 4 and at ratio 128. They compute what the ops of V2 compute, but
/// other arguments say where the state rows are, and the rows of kv_output are those of the batch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/v1_state.h"

namespace dsv4 {

/// The first parameters of the ops: head_dim, ring, fill, state.
Space v1_space(std::int64_t ratio);

/// A row that a call writes, and the request (its number in the batch) that it belongs to.
struct V1Row {
  std::int64_t request;
  std::int64_t row;
  bool first_group = false;  ///< true for the entry of a request's first group
  bool operator==(const V1Row&) const = default;
};
struct V1Written {
  std::vector<V1Row> entries;  ///< rows of kv_output
  std::vector<V1Row> kept;     ///< rows of kv_buffer, seen as [n, width]
  bool operator==(const V1Written&) const = default;
};

class V1Op : public OfflineOp {
 public:
  V1Op(std::int64_t ratio, OpInfo info) : OfflineOp(ratio, std::move(info)) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    return reject_v1_state(p, ratio());
  }
  [[nodiscard]] OfflineWritten written(const Call& call) const override;
  /// The rows that the call writes, in the order of the comparison. Numbers outside the tensors are allowed: such a
  /// request, record or page is skipped.
  [[nodiscard]] virtual V1Written written_by(const Call& call) const = 0;
  /// A relation about a spread-out state, and contracts on the arguments that say where state rows are. At ratio 4 also
  /// a relation about places before a request's first token.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// The argument kv_buffer of the ops. At ratio 4, its pages have four or eight rows.
Argument v1_state_argument(std::int64_t ratio);

/// A call of a V1 op. `lengths_or_plans` holds seq_lens, or compress_plan and write_plan.
Call v1_call(const std::string& op, const OfflineTokens& tokens, HostTensor state, HostTensor input, V1Pages pages,
             std::vector<HostTensor> lengths_or_plans);

/// The state of a V1 call before the batch: it holds the rows that later entries need. All other rows are NaN.
HostTensor v1_rows(const OfflineTokens& tokens, const V1State& state, const std::vector<std::int64_t>& request_ids,
                   const std::vector<std::int64_t>& lengths);

/// The row of kv_buffer, seen as [n, width], of a token in a state page or ring; -1 if the state does not have
/// the page.
std::int64_t v1_row(const Call& call, std::int64_t page, std::int64_t position);

/// Contracts "<argument>_outside" of `op` (v1_outside.cpp): a number outside its range changes only the rows of the
/// request that uses it, in a way that does not depend on the memory around the tensors.
std::vector<Scenario> v1_outside(const V1Op& op);

}  // namespace dsv4
