/// Reference of topk_v1: selects the positions of the k best scores of every row, and maps them through the row's
/// page table.
#include "reference/topk/selection.h"

namespace dsv4::reference {
namespace {

/// topk_transform: the selection as select_slots() states it.
void topk_transform(TensorView scores, TensorView seq_lens, TensorView page_table, TensorView page_indices,
                    std::uint32_t page_size, const ::tvm::ffi::Optional<TensorView>& raw_indices) {
  select_slots("topk_v1", scores, seq_lens, page_table, page_indices, page_size, raw_indices);
}

DSV4_ENTRY(topk_transform, topk_transform, "topk_v1", "topk_v1/1", "");

}  // namespace
}  // namespace dsv4::reference
