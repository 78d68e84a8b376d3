/// Contracts and relations of the ops of experts. `op` is the op itself.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> hash_topk_scenarios(const Op& op);
std::vector<Scenario> silu_scenarios(const Op& op);

}  // namespace dsv4
