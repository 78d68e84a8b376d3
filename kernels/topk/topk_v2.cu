/// topk_v2: selects the positions of the k largest scores of every row, and maps them through a page table.
///
///     topk_transform(scores, seq_lens, page_table, page_indices, page_size, workspace, metadata)
///
/// | argument     | shape        | dtype   | |
/// |--------------|--------------|---------|-|
/// | scores       | [B, columns] | float32 | any row stride, unit column stride |
/// | seq_lens     | [B]          | int32   | contiguous; number of scores that each row has |
/// | page_table   | [B, pages]   | int32   | any row stride, unit column stride |
/// | page_indices | [B, k]       | int32   | contiguous, out; k = 512 or 1024 |
/// | page_size    | scalar       |         | a power of two |
/// | workspace    | [B, 2050]    | int32   | any row stride, unit column stride; not used |
/// | metadata     | [B + 1, 4]   | int32   | contiguous; the plan (plan_topk_v2); not used |
///
/// The selection is that of topk_v1 (topk_v1.cu): exact for every input, and the lowest positions among equal scores.
/// The plan says which rows sglang's kernel gives to a cluster of blocks. This kernel divides long rows by their length
/// alone (select_rows.cuh), and allocates the workspace that it needs. So it is right whatever the plan says, also for
/// rows of more than 262144 scores.

#include "interface/entry.h"
#include "kernels/topk/select_rows.cuh"

namespace dsv4::topk {
namespace {

constexpr int kWorkspaceInts = 2050;
constexpr int kPlanInts = 4;  ///< of an entry of the plan

void topk_transform(TensorView scores, TensorView seq_lens, TensorView page_table, TensorView page_indices,
                    std::int64_t page_size, TensorView workspace, TensorView metadata) {
  ArgumentCheck check("topk_v2");
  Size rows("rows"), columns("columns"), pages("pages"), k("k"), entries("entries");
  check.tensor("scores", scores).dtype({kFloat32}).shape({rows, columns}).on_cuda().unit_stride();
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({rows}).on_cuda().contiguous();
  check.tensor("page_table", page_table).dtype({kInt32}).shape({rows, pages}).on_cuda().unit_stride();
  check.tensor("page_indices", page_indices).dtype({kInt32}).shape({rows, k}).on_cuda().contiguous();
  check.tensor("workspace", workspace).dtype({kInt32}).shape({rows, kWorkspaceInts}).on_cuda().unit_stride();
  check.tensor("metadata", metadata).dtype({kInt32}).shape({entries, kPlanInts}).on_cuda().contiguous();
  check.require(entries.value() == rows.value() + 1, "metadata", "size ", entries.value(),
                " of dimension 0 must be the number of rows and one, ", rows.value() + 1);
  check_sizes(check, k.value(), page_size, columns.value());
  if (rows.value() == 0) return;

  const TopkParams params = params_of(scores, seq_lens, page_table, page_indices, page_size);
  (k.value() == 512 ? launch_topk<512> : launch_topk<1024>)(params, rows.value(), check.device(), "topk_v2");
}

}  // namespace
}  // namespace dsv4::topk

DSV4_ENTRY(topk_transform, dsv4::topk::topk_transform, "topk_v2", "topk_v2/1", "k=512|1024");
