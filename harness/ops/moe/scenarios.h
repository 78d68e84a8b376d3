/// Contracts and relations of the ops of experts. `op` is the op itself.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

std::vector<Scenario> hash_topk_scenarios(const Op& op);
std::vector<Scenario> mega_moe_scenarios(const Op& op);
std::vector<Scenario> silu_scenarios(const Op& op);
std::vector<Scenario> contig_scenarios(const Op& op);

/// Makes "relation:unaligned": the call gives the same bits, or is refused, if each named argument begins so many bytes
/// after an aligned address.
Scenario unaligned_relation(std::vector<std::pair<std::string, std::int64_t>> moves);

}  // namespace dsv4
