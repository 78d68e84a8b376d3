/// Contracts and relations of fused_rope.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is fused_rope itself.
std::vector<Scenario> fused_rope_scenarios(const Op& op);

}  // namespace dsv4
