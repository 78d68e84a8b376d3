/// Decodes and checks what a top-k call selected. For all ops that map a selection through page tables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// The scores from which row `row` selects: the first seq_lens[row], at most all columns.
std::span<const float> scores_of(const Call& call, std::int64_t row);

/// The coarse bin in which the k-th best score lies, and how many scores lie in it.
struct ThresholdBin {
  std::uint32_t bin = 0;
  std::int64_t population = 0;
};
ThresholdBin threshold_bin(std::span<const float> scores, std::int64_t k);

/// The selection in a canonical form, which is the same for every right implementation:
///   "positions"  i32 [rows, k]. A row of at most k scores is given as written, because its order is promised. In any
///                other row the selected positions ascend. Positions that tie with the k-th best score are
///                interchangeable: each is given as -2, at the end.
///   "scores"     f32 [rows, k]: the selected scores, best first; 0 in rows of at most k scores
/// Findings: padding, range, page_mapping, duplicate, coarse_bin. The last one also holds for upstream's kernels, which
/// select inexactly within the bin of the k-th best score.
Observation observe_selection(const Call& call, const CallResult& result);

}  // namespace dsv4
