/// What a top-k call selected, decoded and checked: shared by the ops that map selections through page tables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Scores that row `row` of `call` selects from: as many as `seq_lens` says, at most all columns.
std::span<const float> scores_of(const Call& call, std::int64_t row);

/// The coarse bin in which the k-th best score lies, and how many scores lie in it.
struct ThresholdBin {
  std::uint32_t bin = 0;
  std::int64_t population = 0;
};
ThresholdBin threshold_bin(std::span<const float> scores, std::int64_t k);

/// The selection in a form that every right implementation agrees on:
///   "positions"  i32 [rows, k]: a row of no more than k scores as written (its order is promised); else the selected
///                positions ascending, then -2 for each that ties with the k-th best and so is interchangeable
///   "scores"     f32 [rows, k]: the selected scores, best first; 0 where the row has no more than k
/// Findings: padding, range, page_mapping, duplicate; and coarse_bin, which holds even for upstream's kernels that pick
/// inexactly within the bin of the cut.
Observation observe_selection(const Call& call, const CallResult& result);

}  // namespace dsv4
