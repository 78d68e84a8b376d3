/// Scenarios that planners share.
#pragma once

#include "harness/op/contracts.h"

namespace dsv4 {

/// A ratio that no planner knows.
void add_ratio_contract(Contracts& contracts);

/// Number of rows, scratch and counts of new tokens of a V2 prefill planner; the points have lengths on the host.
void add_prefill_plan_contracts(Contracts& contracts);

/// The sizes that the sliding-window address is made of.
void add_swa_address_contracts(Contracts& contracts);

/// The two maps, spread out: rows of req_to_token beyond 2^32 elements, and slots of the cache up to 2^31, which is
/// 2^34 bytes into full_to_swa and as far as an i32 names them.
std::vector<Scenario> far_map_relations(const Points& points);

/// Counts of new tokens that are no batch. The points have lengths on the host.
void add_extend_contracts(Contracts& contracts);

/// An op whose parameter `lens` says where its lengths lie makes the same plan of both, as sets. The points have
/// lengths on the host.
Scenario host_equals_device(Points points);

}  // namespace dsv4
