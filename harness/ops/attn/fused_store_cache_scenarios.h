/// What must hold of fused_store_cache beyond one call against the reference.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is fused_store_cache itself.
std::vector<Scenario> fused_store_cache_scenarios(const Op& op);

}  // namespace dsv4
