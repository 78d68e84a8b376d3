/// The plans of topk_v2, which plan_topk_v2 makes and topk_v2 takes: i32 [rows + 1, 4]. Entry 0 has the threshold and
/// the number of items. The next entries have the items: the row and the length of each row that is longer than the
/// threshold, and a flag in one byte. The remaining bytes have no meaning.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/core/tensor.h"
#include "reference/plans/topk_threshold.h"

namespace dsv4 {

constexpr std::int64_t kPlanInts = 4;                          ///< of an entry
constexpr std::int64_t kMostUnplanned = plans::kTopkClusters;  ///< with so many rows or fewer, there is no plan
constexpr std::int64_t kLongestRow = 262144;                   ///< scores; upstream supports no longer rows

/// The plan of rows of these lengths. `threshold` is the caller's, or 0 if it follows from the lengths. Bytes that a
/// planner does not write, or writes without a meaning, hold 0xA5. With up to 15 rows these are all bytes.
HostTensor make_topk_plan(const std::vector<std::int64_t>& lengths, std::int64_t threshold);

/// Number of entries that a planner writes: entry 0, and entries for the items or for 15 items.
std::int64_t written_entries(const HostTensor& plan);

}  // namespace dsv4
