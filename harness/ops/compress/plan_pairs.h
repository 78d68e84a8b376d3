/// Pairs of a V2 planner and an op that takes its plan (harness/op/pairs.h). An op names its planners, and says how its
/// call is made from a plan.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"

namespace dsv4 {

/// What a planner planned, for the call of an op that takes the plan.
struct Planned {
  Batch batch;
  std::int64_t state_rows = 0;
  RowOf row;                      ///< state row of a token, as the planner places it
  std::vector<HostTensor> plans;  ///< as the planner returned them
};

/// The pairs of each of these planners and an op that takes its plan. The planners are plan_prefill, plan_decode,
/// plan_prefill_legacy or plan_decode_legacy. Lengths are on the device if the planner takes them there. At `points`,
/// the case has the parameters of a batch, and `ring`.
std::vector<Pair> pairs_with(const std::vector<std::string>& planners, std::int64_t ratio, const Points& points,
                             std::function<Call(const Case&, const Planned&)> consume);

}  // namespace dsv4
