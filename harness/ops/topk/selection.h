/// Decodes and checks the selection of a top-k call, for all ops that map a selection through page tables.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "harness/generate/fills.h"
#include "harness/generate/random.h"
#include "harness/op/op.h"

namespace dsv4 {

/// Makes row `row` of a call: its first n scores by the distribution `fill`, and pages in random order. The columns
/// after the scores hold garbage that a kernel selects if it reads them: NaN and infinity.
void fill_row(Call& call, std::int64_t row, std::int64_t n, const Fills& fills, const std::string& fill,
              Random& random);

/// The scores from which row `row` selects: the first seq_lens[row] columns, but at most all columns, and at most as
/// many as the page table covers.
std::span<const float> scores_of(const Call& call, std::int64_t row);

/// The coarse bin of the k-th best score (coarse_bin()), and the number of scores in this bin.
struct ThresholdBin {
  std::uint32_t bin = 0;
  std::int64_t population = 0;
};
ThresholdBin threshold_bin(std::span<const float> scores, std::int64_t k, int bits = 8);

/// Bits of the coarse bins into which upstream's kernel sorts the scores of a row.
using BinBits = std::function<int(std::int64_t row)>;

/// The selection in a canonical form, which is the same for every right implementation:
///   "positions"  i32 [rows, k]. A row of at most k scores keeps its positions as written, because the op promises
///                their order. In any other row, the positions are sorted in ascending order. Positions that tie with
///                the k-th best score are interchangeable, so each of them becomes -2. They are at the end.
///   "scores"     f32 [rows, k]. The selected scores, best first; 0 in rows of at most k scores
/// Findings: padding, range, page_mapping, duplicate, coarse_bin. The check coarse_bin also holds for upstream's
/// kernels, which select inexactly within the bin of the k-th best score.
Observation observe_selection(
    const Call& call, const CallResult& result, const BinBits& bin_bits = [](std::int64_t) { return 8; });

}  // namespace dsv4
