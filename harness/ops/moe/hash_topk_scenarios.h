/// Contracts and relations of hash_topk.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// `op` is hash_topk itself.
std::vector<Scenario> hash_topk_scenarios(const Op& op);

}  // namespace dsv4
