/// The common part of the two online compressors of V1. They compute what those of V2 compute, but other arguments say
/// where the slots are, and the rows of kv_output are those of the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/ops/compress/online_op.h"
#include "harness/ops/compress/v1_state.h"

namespace dsv4 {

/// Where a V1 call finds slots. With state=pages (V1State), the slot of a group is the cache page of its first token,
/// as in V2. With state=rings, each request has one slot.
class OnlineV1Slots {
 public:
  /// `maps` are those of online_maps(). With state=rings, only the number of requests in their pool matters.
  OnlineV1Slots(const Params& p, CacheMaps maps);

  [[nodiscard]] bool has_rings() const { return rings_; }
  [[nodiscard]] std::int64_t count() const { return rings_ ? maps_->req_to_token.size(0) : maps_->rows(); }
  /// The slot of a group, by its request and the position of its first token. The function may be used after this
  /// object is destroyed.
  [[nodiscard]] RowOf slot_of() const;

  /// The slots of a prefill call: `indices` has those of the groups of the newest tokens, and `extra` those of the
  /// newest old tokens. A request without old tokens has the slot of its first group there. These are the results of
  /// paged_compress_data.
  [[nodiscard]] V1Pages prefill(const Batch& batch) const;
  /// The slots of a decode call, which has no `extra`.
  [[nodiscard]] V1Pages decode(const Batch& batch) const;

 private:
  /// The slots of the newest groups of requests of these lengths.
  [[nodiscard]] HostTensor newest(const Batch& batch, const std::vector<std::int64_t>& lengths) const;

  bool rings_;
  std::shared_ptr<const CacheMaps> maps_;
};

/// True if the op is one of V1.
bool is_online_v1(const Op& op);

/// The first parameters of both ops: state, fill.
Space online_v1_space();

/// A row that a call writes, and the request (its number in the batch) that it belongs to.
struct OnlineV1Row {
  std::int64_t request;
  std::int64_t row;
  bool operator==(const OnlineV1Row&) const = default;
};
struct OnlineV1Written {
  std::vector<OnlineV1Row> entries;  ///< rows of kv_output
  std::vector<OnlineV1Row> kept;     ///< slots
  bool operator==(const OnlineV1Written&) const = default;
};

class OnlineV1Op : public OnlineOp {
 public:
  using OnlineOp::OnlineOp;

  [[nodiscard]] OnlineWritten written(const Call& call) const override;
  void change_slots(Call& call, const ChangeSlot& change) const override;
  /// The rows that the call writes, in the order of the comparison. Numbers outside the tensors are allowed: such a
  /// request or record is skipped.
  [[nodiscard]] virtual OnlineV1Written written_by(const Call& call) const = 0;
  /// The scenarios of OnlineOp, and contracts on the arguments that say where slots and tokens are.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// A call of an online compressor of V1. `lengths_or_plans` holds seq_lens, or compress_plan and write_plan.
Call online_v1_call(const std::string& op, const OnlineTokens& tokens, HostTensor state, HostTensor input,
                    V1Pages slots, std::vector<HostTensor> lengths_or_plans);

/// Contracts "<argument>_outside" of `op` (online_v1_outside.cpp): a number outside its range changes only the rows of
/// the request that uses it, in a way that does not depend on the memory around the tensors.
std::vector<Scenario> online_v1_outside(const OnlineV1Op& op);

}  // namespace dsv4
