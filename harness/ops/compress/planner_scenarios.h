/// Scenarios that planners share.
#pragma once

#include "harness/op/contracts.h"

namespace dsv4 {

/// Request ids and lengths of a decode planner: on the device, one length a request.
void add_decode_plan_contracts(Contracts& contracts);

/// Request ids, lengths, scratch and row count of a V2 prefill planner; the points have lengths on the host.
void add_prefill_plan_contracts(Contracts& contracts);

/// A batch of no requests, for a V2 prefill planner.
void add_empty_batch_contract(Contracts& contracts);

/// The two maps and the sizes that the sliding-window address is made of.
void add_swa_address_contracts(Contracts& contracts);

/// The two maps, spread out: rows of req_to_token beyond 2^32 elements, and slots of the cache up to 2^31, which is
/// 2^34 bytes into full_to_swa and as far as an i32 names them.
std::vector<Scenario> far_map_relations(const std::vector<Params>& points);

/// Counts of new tokens that are no batch. The points have lengths on the host.
void add_extend_contracts(Contracts& contracts);

/// An op whose parameter `lens` says where its lengths lie makes the same plan of both, as sets. The points have
/// lengths on the host.
Scenario host_equals_device(std::vector<Params> points);

}  // namespace dsv4
