/// Contracts and relations of fused_store_cache.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is fused_store_cache itself.
std::vector<Scenario> fused_store_cache_scenarios(const Op& op);

}  // namespace dsv4
