/// topk_v1: selects the positions of the k largest scores of every row, and maps them through a page table.
///
///     topk_transform(scores, seq_lens, page_table, page_indices, page_size, raw_indices?)
///
/// | argument     | shape        | dtype   | |
/// |--------------|--------------|---------|-|
/// | scores       | [B, columns] | float32 | any row stride, unit column stride |
/// | seq_lens     | [B]          | int32   | contiguous; number of scores that each row has |
/// | page_table   | [B, pages]   | int32   | any row stride, unit column stride |
/// | page_indices | [B, k]       | int32   | contiguous, out; k = 512 or 1024 |
/// | page_size    | scalar       |         | a power of two |
/// | raw_indices  | [B, k]       | int32   | contiguous, out, or None |
///
/// Let n = seq_lens[b]. If n <= k, output slot j gets position j for every j < n, and the other slots get -1. If n > k,
/// the slots get the positions of the k largest of scores[b, :n], in unspecified order. NaN counts as larger than +Inf,
/// and -0 as smaller than +0. Among equal scores, those at the lowest positions are selected. The selected set is exact
/// for every input, and it is the same in every run. If a slot of raw_indices gets position i, the same slot of
/// page_indices gets page_table[b, i / page_size] * page_size + i % page_size.
///
/// Lengths are on the device, so the host cannot check them. Therefore the kernel clamps n to at least 0, and to at
/// most the number of columns and the number of positions for which the page table has pages. So nothing outside the
/// arguments is read. If B = 0, no kernel is launched.

#include "interface/entry.h"
#include "kernels/topk/select_rows.cuh"

namespace dsv4::topk {
namespace {

void topk_transform(TensorView scores, TensorView seq_lens, TensorView page_table, TensorView page_indices,
                    std::int64_t page_size, ::tvm::ffi::Optional<TensorView> raw_indices) {
  ArgumentCheck check("topk_v1");
  Size rows("rows"), columns("columns"), pages("pages"), k("k");
  check.tensor("scores", scores).dtype({kFloat32}).shape({rows, columns}).on_cuda().unit_stride();
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({rows}).on_cuda().contiguous();
  check.tensor("page_table", page_table).dtype({kInt32}).shape({rows, pages}).on_cuda().unit_stride();
  check.tensor("page_indices", page_indices).dtype({kInt32}).shape({rows, k}).on_cuda().contiguous();
  if (raw_indices.has_value()) {
    check.tensor("raw_indices", *raw_indices).dtype({kInt32}).shape({rows, k}).on_cuda().contiguous();
  }
  check_sizes(check, k.value(), page_size, columns.value());
  if (rows.value() == 0) return;

  TopkParams params = params_of(scores, seq_lens, page_table, page_indices, page_size);
  if (raw_indices.has_value()) params.raw_indices = data_of<std::int32_t>(*raw_indices);
  (k.value() == 512 ? launch_topk<512> : launch_topk<1024>)(params, rows.value(), check.device(), "topk_v1");
}

}  // namespace
}  // namespace dsv4::topk

DSV4_ENTRY(topk_transform, dsv4::topk::topk_transform, "topk_v1", "topk_v1/1", "k=512|1024");
