/// Reference of topk_v2: selects the positions of the k best scores of every row, and maps them through the row's page
/// table. The selection does not depend on the plan, which only divides the work.
#include "reference/topk/selection.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "topk_v2";
/// Integers of a workspace row: two counts, and 1024 pairs of a position and a score (sglang 0.5.13,
/// jit_kernel/include/sgl_kernel/deepseek_v4/topk/cluster.cuh:49-54).
constexpr std::int64_t kWorkspaceInts = 2 + 2 * 1024;

/// topk_transform: the selection as select_slots() states it. Upstream reads at most 262144 columns of a row; this
/// reference has no limit.
///
/// @param workspace  i32 [rows, 2050], rows dense; not used
/// @param metadata   i32 [rows + 1, 4], contiguous: the plan of these lengths (plan_topk_v2); not used
void topk_transform(TensorView scores, TensorView seq_lens, TensorView page_table, TensorView page_indices,
                    std::uint32_t page_size, TensorView workspace, TensorView metadata) {
  const View<const float, 2> score(kOp, "scores", scores);
  const View<const std::int32_t, 2> scratch(kOp, "workspace", workspace);
  scratch.expect_size(0, score.size(0)).expect_size(1, kWorkspaceInts).expect_dense_rows();
  const View<const std::int32_t, 2> plan(kOp, "metadata", metadata);
  plan.expect_size(0, score.size(0) + 1).expect_size(1, 4).expect_contiguous();
  select_slots(kOp, scores, seq_lens, page_table, page_indices, page_size, {});
}

DSV4_ENTRY(topk_transform, topk_transform, "topk_v2", "topk_v2/1", "");

}  // namespace
}  // namespace dsv4::reference
