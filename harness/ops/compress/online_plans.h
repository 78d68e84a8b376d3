/// The common part of online compression at ratio 128 (interface/compress_plan.h): the maps of a case, calls of the V2
/// online planners, their plans, and a map that checks over several steps what the slots hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"
#include "reference/plans/segments.h"

namespace dsv4 {

inline constexpr std::int64_t kOnlineGroup = 128;  ///< tokens of a group, and of the window of an entry

/// The parameters `page` and `pages` of the maps. A page of the sliding-window cache is a slot, so there is no ring.
std::vector<ParamSpec> online_cache_params();
/// The parameters of a case, with the ring that makes `CacheMaps::row` the slot of a group's first token.
Params with_slots(const Params& p);
/// The maps of a case. `row(id, position)` is the slot of a group whose first token is at `position`.
CacheMaps online_maps(const Batch& batch, const Params& p, std::uint64_t seed);

Call online_prefill_plan_call(const Batch& batch, const CacheMaps& maps);
Call online_decode_plan_call(const Batch& batch, const CacheMaps& maps);

/// Gives a call of plan_prefill_online plans with `rows` rows, of which the call may write those of its records.
void give_online_plans(Call& call, std::int64_t rows);

/// The records of plan `name` ("plan_c_dev" or "plan_w_dev") after a call of plan_prefill_online. The call says how
/// many there are.
std::vector<layout::CompressPlan> online_plan(const CallResult& result, const std::string& name);
std::vector<layout::DecodePlan> online_decode_plan(const CallResult& result);

/// Canonical outputs of plan_prefill_online: "compress_plan", "write_plan" i32 [n, 5] (token, length, tokens of the
/// segment, two slots), and "compress_count", "write_count" i64 [2] (number of rows as returned, number of records).
/// Findings: form, count, sentinel, order, range, content, duplicate, tiling.
Observation observe_online_prefill_plan(const Batch& batch, std::int64_t slots, const CallResult& result);
/// Canonical output of plan_decode_online: "plan" i32 [n, 4] (length, two slots, -1). Findings: form, count, content,
/// range, duplicate.
Observation observe_online_decode_plan(const Batch& batch, std::int64_t slots, const CallResult& result);

/// Records over several steps of which tokens a slot holds the running softmax: those of a group of a request, from its
/// first token on. Finding "slot": a plan adds tokens to a slot that does not hold all earlier tokens of their group,
/// or an open group is not in its slot.
class OnlineSlots {
 public:
  /// Names the next step in findings.
  void begin(std::string step) { step_ = std::move(step); }
  /// Returns the findings since the last call.
  [[nodiscard]] std::vector<Finding> take_findings() { return std::exchange(findings_, {}); }

  void prefill(const Batch& batch, const std::vector<layout::CompressPlan>& compress,
               const std::vector<layout::CompressPlan>& write);
  void decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan);
  /// Checks that `slot` holds the open group of a request of `length` tokens.
  void check_open(std::int64_t request_id, std::int64_t length, std::int64_t slot);

 private:
  struct Held {
    std::int64_t request_id;
    std::int64_t first;  ///< position of the group's first token
    std::int64_t end;    ///< position after the newest token in the slot
    bool operator==(const Held&) const = default;
  };
  void expect(std::int64_t slot, const Held& held, const char* what);
  /// Position of the first token of the group of this position. Counts groups, and has no formula.
  static std::int64_t first_of_group(std::int64_t position);

  std::string step_;
  std::map<std::int64_t, Held> slots_;
  std::vector<Finding> findings_;
};

}  // namespace dsv4
