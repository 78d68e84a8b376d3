/// Contracts and relations of silu_and_mul_masked_post_quant.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> silu_scenarios(const Op& op);

}  // namespace dsv4
