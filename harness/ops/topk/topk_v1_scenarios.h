/// Contracts, relations and sequences of topk_v1.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> topk_v1_scenarios(const Op& op);

}  // namespace dsv4
