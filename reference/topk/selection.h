/// Selects the k best scores of rows, and maps their positions through page tables: what the references of topk_v1 and
/// topk_v2 share, because both ops specify the same selection.
///
/// It selects in the simplest way: it orders all positions of the row and takes the first k. The order of scores that
/// are not ordinary numbers, and the arithmetic of slots, are stated by upstream's kernels alone: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/topk_v1.cuh for topk_v1, and jit_kernel/include/sgl_kernel/deepseek_v4/topk/common.cuh
/// for topk_v2.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/view.h"

namespace dsv4::reference {

/// Returns the rank of a score in the op's order; a score with a greater rank is better. Every NaN, positive or
/// negative, ranks above all numbers, because its conversion to half gives the greatest key (topk_v1.cuh:33-38,
/// topk/common.cuh:59-65). The order of the numbers is -inf < ... < -0 < +0 < ... < +inf. Positive NaNs rank above
/// negative NaNs. Among positive NaNs, a greater payload ranks higher. Among negative NaNs, a greater payload ranks
/// lower (topk_v1.cuh:40-43, topk/common.cuh:78-81).
inline std::tuple<bool, std::uint32_t> rank_of(float score) {
  const std::uint32_t bits = bits_of(score);
  const std::uint32_t key = (bits & 0x80000000u) != 0 ? ~bits : (bits | 0x80000000u);
  return {std::isnan(score), key};
}

/// Returns the slot of a position. `page` is the page table's entry for it. All arithmetic is in 32 bits
/// (topk_v1.cuh:45-48, topk/common.cuh:21-24). So a negative page entry gives a negative slot, and a large page entry
/// wraps around.
inline std::int32_t slot_of(std::int32_t page, std::int64_t position, std::uint32_t page_size) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(page) * page_size +
                                   static_cast<std::uint32_t>(position) % page_size);
}

/// Returns the positions that are selected in row `row`, best first. Among equal scores, the lower position comes
/// first. If the row has at most k positions, all of them are selected in ascending order, and its scores are not read.
inline std::vector<std::int64_t> select(const View<const float, 2>& scores, std::int64_t row, std::int64_t length,
                                        std::int64_t k) {
  std::vector<std::int64_t> positions(static_cast<std::size_t>(length));
  std::iota(positions.begin(), positions.end(), std::int64_t{0});
  if (length <= k) return positions;
  std::vector<std::tuple<bool, std::uint32_t>> ranks(positions.size());
  for (std::int64_t i = 0; i < length; ++i) ranks[i] = rank_of(scores(row, i));
  const auto better = [&](std::int64_t a, std::int64_t b) {
    return ranks[a] != ranks[b] ? ranks[a] > ranks[b] : a < b;
  };
  std::partial_sort(positions.begin(), positions.begin() + k, positions.end(), better);
  positions.resize(static_cast<std::size_t>(k));
  return positions;
}

/// Writes for every row the slots of the k best of its first `seq_lens[row]` scores. The other outputs become -1
/// (topk_v1.cuh:50-69 and 246-259, topk/common.cuh:83-89).
///
/// A length is clamped to at least 0, and to at most the columns and the positions that the page table covers. In
/// upstream, a length outside this range is undefined. Slots and raw positions are written in the order of rank, best
/// first. The ops themselves specify an order only if length <= k: then positions ascend.
///
/// @param scores        f32 [rows, columns], rows dense; columns from the row's length on are never read
/// @param seq_lens      i32 [rows], contiguous; number of scores of each row
/// @param page_table    i32 [rows, pages], rows dense; only the pages of selected positions are read
/// @param page_indices  i32 [rows, k], contiguous, out; k is 512 or 1024
/// @param page_size     positions per page; kernels may demand a power of two
/// @param raw_indices   i32 [rows, k], contiguous, out, optional: the positions themselves
inline void select_slots(const char* op, TensorView scores, TensorView seq_lens, TensorView page_table,
                         TensorView page_indices, std::uint32_t page_size,
                         const ::tvm::ffi::Optional<TensorView>& raw_indices) {
  const View<const float, 2> score(op, "scores", scores);
  const View<const std::int32_t, 1> lengths(op, "seq_lens", seq_lens);
  const View<const std::int32_t, 2> pages(op, "page_table", page_table);
  const View<std::int32_t, 2> slots(op, "page_indices", page_indices);
  const std::int64_t rows = score.size(0);
  const std::int64_t k = slots.size(1);
  score.expect_dense_rows();
  lengths.expect_size(0, rows).expect_contiguous();
  pages.expect_size(0, rows).expect_dense_rows();
  slots.expect_size(0, rows).expect_contiguous();
  if (k != 512 && k != 1024) refuse(op, "page_indices", "expected 512 or 1024 columns, got " + std::to_string(k));
  if (page_size == 0) refuse(op, "page_size", "expected a positive number, got 0");
  const View<std::int32_t, 2> raw(op, "raw_indices", raw_indices.has_value() ? raw_indices.value() : page_indices);
  raw.expect_size(0, rows).expect_size(1, k).expect_contiguous();

  const std::int64_t most = std::min<std::int64_t>(score.size(1), pages.size(1) * page_size);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t length = std::clamp<std::int64_t>(lengths(row), 0, most);
    const std::vector<std::int64_t> chosen = select(score, row, length, k);
    for (std::int64_t j = 0; j < k; ++j) {
      const bool filled = j < static_cast<std::int64_t>(chosen.size());
      if (raw_indices.has_value()) raw(row, j) = filled ? static_cast<std::int32_t>(chosen[j]) : -1;
      slots(row, j) = filled ? slot_of(pages(row, chosen[j] / page_size), chosen[j], page_size) : -1;
    }
  }
}

}  // namespace dsv4::reference
