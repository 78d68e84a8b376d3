/// Reference of mask_topk_ids: writes -1 to the expert ids of padding tokens.
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "mask_topk_ids";

/// Returns the only element of `count`, an i32 or i64 tensor of any rank: its low 32 bits as an unsigned number (sglang
/// 0.5.13, jit_kernel/csrc/deepseek_v4/hash_topk.cuh:189 and :86-88).
std::uint32_t first_padding_row(TensorView count) {
  if (count.device().device_type != kDLCPU) refuse(kOp, "num_token_non_padded", "expected a CPU tensor");
  if (count.numel() != 1) {
    refuse(kOp, "num_token_non_padded", "expected one element, got " + std::to_string(count.numel()));
  }
  if (holds<std::int32_t>(count))
    return static_cast<std::uint32_t>(*static_cast<const std::int32_t*>(count.data_ptr()));
  if (holds<std::int64_t>(count))
    return static_cast<std::uint32_t>(*static_cast<const std::int64_t*>(count.data_ptr()));
  refuse(kOp, "num_token_non_padded", "expected int32 or int64, got " + dtype_name(count.dtype()));
}

/// run: writes -1 to every id of row `num_token_non_padded` and of all later rows. Nothing else is written.
///
/// The number is read as unsigned. So a negative number is larger than every row number, and no row is changed. If the
/// row stride is larger than k, the elements between two rows are not changed.
///
/// @param topk_ids              i32 [tokens, k], rows dense, in place
/// @param num_token_non_padded  i32 or i64, exactly one element
void run(TensorView topk_ids, TensorView num_token_non_padded) {
  const View<std::int32_t, 2> ids(kOp, "topk_ids", topk_ids);
  ids.expect_dense_rows();
  for (std::int64_t row = first_padding_row(num_token_non_padded); row < ids.size(0); ++row) {
    for (std::int64_t j = 0; j < ids.size(1); ++j) ids(row, j) = -1;
  }
}

DSV4_ENTRY(run, run, "mask_topk_ids", "mask_topk_ids/1", "");

}  // namespace
}  // namespace dsv4::reference
