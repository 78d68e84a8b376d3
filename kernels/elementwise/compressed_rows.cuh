/// Normalises and rotates rows of compressed entries in place, for compress_norm_rope_prefill_v1 and
/// compress_norm_rope_decode_v1. The ops differ in how a record names its row and its position.
///
/// y = (x * f) * w with f = rsqrt(sum(x^2) / D + eps), in float32. The last 64 elements of y are rotated as in
/// rotation.cuh. Nothing is rounded to another type. A row whose position is outside the table of angles is not
/// rotated.
///
/// One warp handles a row, so the row stays in registers between its only load and its only store (row_norm.cuh). If an
/// address is not a multiple of 16 bytes, elements are read and written one by one.
#pragma once

#include <tvm/ffi/container/tensor.h>

#include <cstdint>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/row_norm.cuh"

namespace dsv4 {

inline constexpr int kRowThreads = 128;
inline constexpr int kRowWarps = kRowThreads / 32;

/// The row of a record, and its position in the table of angles. The row is -1 if the record has no entry.
struct RowPlace {
  std::int64_t row;
  std::int64_t position;
};

/// `Records` has a member `place(i, rows, ratio)`, which returns the RowPlace of record i. Its row is less than `rows`.
template <class Records>
struct CompressedRows {
  float* rows;
  const float* weight;
  const float* freqs;
  std::int64_t row_count;
  std::int64_t dim;
  std::int64_t table_rows;
  std::int64_t ratio;
  float eps;
  bool wide;  ///< every address is a multiple of 16 bytes
  Records records{};
  std::int64_t count = 0;  ///< number of records
};

template <int kDim, bool kWide, class Records>
__global__ void __launch_bounds__(kRowThreads)
    compressed_rows_kernel(const __grid_constant__ CompressedRows<Records> p) {
  constexpr int kLane = 4;  // elements of a tile that a lane holds: 16 bytes
  constexpr int kTiles = kDim / (32 * kLane);
  wait_for_previous_kernel();
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.x / 32;
  if (number >= p.count) return;
  const RowPlace place = p.records.place(number, p.row_count, p.ratio);
  if (place.row < 0) return;  // all lanes of the warp agree
  const int lane = static_cast<int>(threadIdx.x) % 32;

  float* const address = p.rows + place.row * kDim + lane * kLane;
  WarpRow<kTiles, kWide, float, kLane> row, weight;
  row.load(address);
  weight.load(p.weight + lane * kLane);
  // The angles are loaded before the reduction, so that both loads overlap.
  LaneAngles<kWide, kLane> angles;
  angles.load(p.freqs, p.table_rows, place.position, lane);

  const float factor = row.factor(p.eps);
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < kLane; ++i) {
      row.tile[t].v[i] = __fmul_rn(__fmul_rn(row.tile[t].v[i], factor), weight.tile[t].v[i]);
    }
  }
  angles.rotate(row.tile[kTiles - 1]);
  row.store(address);
}

/// Checks the arguments that both ops have, and returns them. The records are still missing.
template <class Records>
CompressedRows<Records> checked_rows(ArgumentCheck& check, const TensorView& input, const TensorView& weight,
                                     const TensorView& freqs_cis, double eps, std::int64_t ratio) {
  Size rows("rows"), dim("dim"), table_rows("table rows");
  check.tensor("weight", weight).dtype({kFloat32}).shape({dim}).on_cuda().contiguous();
  check.require(dim.value() == 128 || dim.value() == 512, "weight", "size of dimension 0 must be 128 or 512, got ",
                dim.value());
  check.tensor("input", input).dtype({kFloat32}).shape({rows, dim}).on_cuda().contiguous();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.require(ratio >= 1 && ratio <= 0xFFFFFFFF, "ratio", "must be between 1 and 2^32 - 1, got ", ratio);
  return {.rows = data_of<float>(input),
          .weight = data_of<const float>(weight),
          .freqs = data_of<const float>(freqs_cis),
          .row_count = rows.value(),
          .dim = dim.value(),
          .table_rows = table_rows.value(),
          .ratio = ratio,
          .eps = static_cast<float>(eps),
          .wide = is_aligned(input, 16) && is_aligned(weight, 16) && is_aligned(freqs_cis, 16)};
}

/// Launches the kernel. Without records, nothing is launched.
template <class Records>
void change_rows(ArgumentCheck& check, const char* op, const CompressedRows<Records>& params) {
  if (params.count == 0) return;
  const auto kernel =
      params.dim == 128
          ? (params.wide ? compressed_rows_kernel<128, true, Records> : compressed_rows_kernel<128, false, Records>)
          : (params.wide ? compressed_rows_kernel<512, true, Records> : compressed_rows_kernel<512, false, Records>);
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.count, kRowWarps), op);
  Launch{.name = op, .device = check.device(), .grid = grid, .block = dim3(kRowThreads)}(kernel, params);
}

}  // namespace dsv4
