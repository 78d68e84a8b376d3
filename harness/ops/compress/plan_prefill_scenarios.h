/// What must hold of plan_prefill beyond one call against the reference.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is plan_prefill itself.
std::vector<Scenario> plan_prefill_scenarios(const Op& op);

}  // namespace dsv4
