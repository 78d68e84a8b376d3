/// The relations, sequences and contracts of topk_v2.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> topk_v2_scenarios(const Op& op);
std::vector<Pair> topk_v2_pairs(const Op& op);  ///< with plan_topk_v2

}  // namespace dsv4
