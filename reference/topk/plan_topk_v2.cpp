/// Reference of plan_topk_v2: lists the rows that topk_v2 gives to clusters of blocks. The plan is stated by upstream's
/// kernel alone: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/topk_v2.cuh. Below, "line" means a line of this file.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "interface/entry.h"
#include "reference/common/view.h"
#include "reference/plans/topk_threshold.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "plan_topk_v2";

/// topk_plan: writes the threshold and the rows that are longer. If there are no more rows than clusters, it writes
/// nothing (line 376). Otherwise (lines 204-228):
///
///   entry 0                    threshold, number of items, 0, 0
///   entry 1 + i                row and length of item i; then 1 if there is an item i + clusters, else 0; then 0
///   entries up to `clusters`   0, if there are fewer items than clusters
///
/// The other entries are not written. Here the items are in the order of the batch; the op does not promise an order.
/// In upstream's kernel, the bytes of an item after the flag, which is one byte, are unspecified. Upstream reads a
/// length as an unsigned number, and asserts at most 262144 in some calls. Here a negative length counts as 0, and any
/// other length is used as it is.
///
/// @param seq_lens                  i32 [rows], contiguous
/// @param metadata                  i32 [rows + 1, 4], contiguous, out
/// @param static_cluster_threshold  the threshold, in [0, 2^32); below the first step's, it counts as that; 0: it
///                                  follows from the lengths
void topk_plan(TensorView seq_lens, TensorView metadata, std::int64_t static_cluster_threshold) {
  const View<const std::int32_t, 1> given(kOp, "seq_lens", seq_lens);
  const View<std::int32_t, 2> entries(kOp, "metadata", metadata);
  given.expect_contiguous();
  const std::int64_t rows = given.size(0);
  entries.expect_size(0, rows + 1).expect_size(1, 4).expect_contiguous();
  if (static_cluster_threshold < 0 || static_cluster_threshold > std::numeric_limits<std::uint32_t>::max()) {
    refuse(kOp, "static_cluster_threshold",
           "expected a number in [0, 2^32), got " + std::to_string(static_cluster_threshold));
  }
  if (rows <= plans::kTopkClusters) return;

  std::vector<std::int64_t> lengths;
  for (std::int64_t row = 0; row < rows; ++row) lengths.push_back(std::max<std::int64_t>(given(row), 0));
  const std::int64_t threshold = plans::topk_threshold(lengths, static_cluster_threshold);
  const auto items = std::count_if(lengths.begin(), lengths.end(), [&](auto n) { return n > threshold; });

  const auto write = [&](std::int64_t entry, std::int64_t a, std::int64_t b, std::int64_t c) {
    const std::int64_t values[] = {a, b, c, 0};
    for (int j = 0; j < 4; ++j) entries(entry, j) = static_cast<std::int32_t>(values[j]);
  };
  write(0, threshold, items, 0);
  std::int64_t item = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (lengths[row] <= threshold) continue;
    write(1 + item, row, lengths[row], item + plans::kTopkClusters < items ? 1 : 0);
    ++item;
  }
  for (; item < plans::kTopkClusters; ++item) write(1 + item, 0, 0, 0);
}

DSV4_ENTRY(topk_plan, topk_plan, "plan_topk_v2", "plan_topk_v2/1", "");

}  // namespace
}  // namespace dsv4::reference
