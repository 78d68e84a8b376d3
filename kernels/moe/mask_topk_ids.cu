/// mask_topk_ids: writes -1 to the padding rows of a routing table, which has the expert ids of each token.
///
///     run(topk_ids, num_token_non_padded)
///
/// | argument             | shape  | dtype | |
/// |----------------------|--------|-------|-|
/// | topk_ids             | [N, K] | int32 | in place; K <= 32, any row stride, unit column stride |
/// | num_token_non_padded | one element | int32 on the device, int32 or int64 on the host | first padding row |
///
/// All K columns of row num_token_non_padded and of all later rows become -1. Nothing else is written. The low 32 bits
/// of num_token_non_padded are used as an unsigned number. So with a negative number, or a number >= N, no row is
/// changed. If the number is on the device, the kernel reads it, so a captured graph uses the new value at each
/// replay. If it is on the host, the call reads it, and a captured graph keeps that value. If N = 0 or K = 0, no
/// kernel is launched.
///
/// The launch takes nearly all of the time of the call. Each row has 2^n threads, where 2^n is the smallest power of
/// two >= K. So the kernel needs no division and no loop. Threads of rows before the padding return without an access
/// to the table.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxColumns = 32;

struct MaskParams {
  std::int32_t* ids;
  const std::int32_t* count_on_device;  ///< if null, `count` is used
  std::uint32_t count;
  std::int64_t rows;
  std::int64_t row_stride;
  int columns;
  int lane_bits;  ///< each row has 2^lane_bits threads
};

__global__ void __launch_bounds__(kThreads) mask_topk_ids_kernel(const __grid_constant__ MaskParams p) {
  wait_for_previous_kernel();
  const std::int64_t lane = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t row = lane >> p.lane_bits;
  const int column = static_cast<int>(lane & ((1 << p.lane_bits) - 1));
  if (row >= p.rows || column >= p.columns) return;
  const std::uint32_t count = p.count_on_device != nullptr ? static_cast<std::uint32_t>(*p.count_on_device) : p.count;
  if (row >= count) p.ids[row * p.row_stride + column] = -1;
}

void run(TensorView topk_ids, TensorView num_token_non_padded) {
  ArgumentCheck check("mask_topk_ids");
  Size rows("rows"), columns("columns");
  check.tensor("topk_ids", topk_ids).dtype({kInt32}).shape({rows, columns}).on_cuda().unit_stride().no_overlap();
  check.require(columns.value() <= kMaxColumns, "topk_ids", "at most 32 columns are supported, got ", columns.value());
  check.require(num_token_non_padded.numel() == 1, "num_token_non_padded", "expected exactly one element, got ",
                num_token_non_padded.numel());

  MaskParams params{};
  auto count = check.tensor("num_token_non_padded", num_token_non_padded);
  if (num_token_non_padded.device().device_type == kDLCUDA) {
    count.dtype({kInt32}).on_cuda();
    params.count_on_device = data_of<const std::int32_t>(num_token_non_padded);
  } else {
    count.on_host().dtype({kInt32, kInt64});
    params.count = same_dtype(num_token_non_padded.dtype(), kInt32)
                       ? static_cast<std::uint32_t>(*data_of<const std::int32_t>(num_token_non_padded))
                       : static_cast<std::uint32_t>(*data_of<const std::int64_t>(num_token_non_padded));
  }
  if (rows.value() == 0 || columns.value() == 0) return;

  params.ids = data_of<std::int32_t>(topk_ids);
  params.rows = rows.value();
  params.row_stride = stride_of(topk_ids, 0);
  params.columns = static_cast<int>(columns.value());
  while ((1 << params.lane_bits) < params.columns) ++params.lane_bits;
  const auto blocks = ceil_div<std::int64_t>(params.rows << params.lane_bits, kThreads);
  Launch{.name = "mask_topk_ids",
         .device = check.device(),
         .grid = grid_of(blocks, "mask_topk_ids"),
         .block = dim3(kThreads)}(mask_topk_ids_kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run, dsv4::run, "mask_topk_ids", "mask_topk_ids/1", "");
