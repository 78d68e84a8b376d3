/// What must hold of fused_rope beyond one call against the reference.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is fused_rope itself.
std::vector<Scenario> fused_rope_scenarios(const Op& op);

}  // namespace dsv4
