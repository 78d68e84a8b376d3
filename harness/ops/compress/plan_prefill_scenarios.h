/// What must hold of plan_prefill beyond one call against the reference. `op` is plan_prefill itself.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Relations, and contracts beyond those of every planner.
std::vector<Scenario> plan_prefill_relations(const Op& op);

/// Steps of requests that grow, followed by a slot map.
std::vector<Scenario> plan_prefill_sequences(const Op& op);

}  // namespace dsv4
