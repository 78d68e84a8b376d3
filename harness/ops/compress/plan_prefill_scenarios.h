/// What must hold of plan_prefill beyond one call against the reference.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// A parameter point of plan_prefill: cache pages of 256 tokens in random order.
Params prefill_plan_point(std::int64_t ratio, std::int64_t ring, const char* lens, int graph, std::int64_t batch,
                          std::int64_t len, const char* spread, std::int64_t extend, const char* mix,
                          std::int64_t slack);

std::vector<Scenario> plan_prefill_scenarios();

}  // namespace dsv4
