/// The scenarios of compress_norm_rope_store.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> compress_norm_rope_store_scenarios(const Op& op);

/// The pairs with the planners of both kinds of plans.
std::vector<Pair> compress_norm_rope_store_pairs(const Op& op);
/// Sequences of planning, compressing, storing and reading back, at both ratios.
std::vector<Scenario> compress_norm_rope_store_sequences(const Op& op);

}  // namespace dsv4
