/// Root-mean-square normalisation of rows, as all kernels of this folder compute it, and the access to the heads of a
/// tensor [T, H, D] of bfloat16.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/rotation.cuh"

namespace dsv4 {

/// Returns the sum of the squares of a thread's elements, plus `sum`. Each square is fused with its sum.
template <typename Element, int N, bool kWide>
DSV4_DEVICE float sum_of_squares(const Pack<Element, N, kWide>& x, float sum) {
#pragma unroll
  for (int i = 0; i < N; ++i) sum = __fmaf_rn(to_float(x.v[i]), to_float(x.v[i]), sum);
  return sum;
}

/// Returns 1 / sqrt(sum / kElements + eps), where `sum` is the sum of the squares of a whole row. A power of two has an
/// exact reciprocal, so the mean is rounded once, together with the sum with eps. The error of rsqrtf is at most 2 ulp.
/// A kernel is not compiled with fast math, so subnormal arguments are not flushed to zero.
template <int kElements>
DSV4_DEVICE float norm_factor(float sum, float eps) {
  static_assert((kElements & (kElements - 1)) == 0);
  return rsqrtf(__fmaf_rn(sum, 1.0f / kElements, eps));
}

inline constexpr int kPerLane = 8;              ///< elements of a tile that a lane holds: 16 bytes of bfloat16
inline constexpr int kPerTile = 32 * kPerLane;  ///< elements of a tile

/// A row in the registers of a warp, in tiles of 32 * kLaneElements elements. With 8 of them, lane l holds elements
/// 8l ... 8l + 7 of each tile.
template <int kTiles, bool kWide, typename Element = __nv_bfloat16, int kLaneElements = kPerLane>
struct WarpRow {
  static constexpr int kPerLane = kLaneElements;
  static constexpr int kPerTile = 32 * kPerLane;
  Pack<Element, kPerLane, kWide> tile[kTiles];

  /// `row` is the address of the lane's elements in the first tile.
  DSV4_DEVICE void load(const Element* row) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) tile[t].load(row + t * kPerTile);
  }
  DSV4_DEVICE void store(Element* row) const {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) tile[t].store(row + t * kPerTile);
  }
  /// Returns the factor that normalises the row, in every lane.
  DSV4_DEVICE float factor(float eps) const {
    float sum = 0.0f;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) sum = sum_of_squares(tile[t], sum);
    return norm_factor<kTiles * kPerTile>(lanes_sum<32>(sum), eps);
  }
  /// Multiplies the elements, which are bfloat16, by their factor, and rounds them.
  DSV4_DEVICE void normalise(float eps) {
    const float f = factor(eps);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        tile[t].v[i] = __float2bfloat16_rn(__fmul_rn(__bfloat162float(tile[t].v[i]), f));
      }
    }
  }
};

/// The angles of the pairs that a lane holds in the last tile of a row, of which the last 64 elements are rotated.
template <bool kWide, int kLaneElements = kPerLane>
struct LaneAngles {
  static constexpr int kPerLane = kLaneElements;
  static constexpr int kFirstLane = 32 - kRopeDim / kPerLane;
  bool is_rotated;  ///< false if the lane holds no such pair, or if the position is outside the table
  Pack<float, kPerLane, kWide> angles;

  /// Positions are on the device, so the host cannot check them.
  DSV4_DEVICE void load(const float* table, std::int64_t table_rows, std::int64_t position, int lane) {
    is_rotated = lane >= kFirstLane && position >= 0 && position < table_rows;
    if (is_rotated) angles.load(table + position * kRopeDim + (lane - kFirstLane) * kPerLane);
  }
  DSV4_DEVICE void rotate(Pack<float, kPerLane, kWide>& y) const {
    if (!is_rotated) return;
#pragma unroll
    for (int i = 0; i < kPerLane; i += 2) {
      const float2 pair = rotated<false>(y.v[i], y.v[i + 1], angles.v[i], angles.v[i + 1]);
      y.v[i] = pair.x;
      y.v[i + 1] = pair.y;
    }
  }
  /// The elements are rounded again.
  DSV4_DEVICE void rotate(Pack<__nv_bfloat16, kPerLane, kWide>& y) const {
    Pack<float, kPerLane, kWide> wide;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) wide.v[i] = __bfloat162float(y.v[i]);
    rotate(wide);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (is_rotated) y.v[i] = __float2bfloat16_rn(wide.v[i]);
    }
  }
};

/// A tensor [T, H, D] of bfloat16 with unit stride in the last dimension. Strides are in elements. The stride of a
/// dimension of size 1 may have any value, because it is multiplied by 0 only.
template <typename Element>
struct HeadsOf {
  Element* data;
  std::int64_t token_stride;
  std::int64_t head_stride;

  explicit HeadsOf(const TensorView& tensor)
      : data(data_of<Element>(tensor)), token_stride(stride_of(tensor, 0)), head_stride(stride_of(tensor, 1)) {}

  DSV4_DEVICE Element* head(std::int64_t token, std::int64_t head) const {
    return data + token * token_stride + head * head_stride;
  }
};

/// True if every head of the tensor begins at a multiple of 16 bytes.
inline bool heads_are_aligned(const TensorView& tensor) {
  return is_aligned(tensor, 16) && (tensor.size(0) <= 1 || stride_of(tensor, 0) % kPerLane == 0) &&
         (tensor.size(1) <= 1 || stride_of(tensor, 1) % kPerLane == 0);
}

}  // namespace dsv4
