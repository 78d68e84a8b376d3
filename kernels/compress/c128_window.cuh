/// Computes compressed entries at ratio 128, for prefill and for decode. A compressed entry is made from a window of
/// 128 window entries, one for each token of its group. A block computes 64 columns of a compressed entry. Each of its
/// 16 warps reads a part of the window: eight consecutive window entries. A lane has two columns.
///
/// The row of a token has two blocks of head_dim floats: the kv and the score.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/common/device.h"
#include "kernels/compress/offline_calls.cuh"

namespace dsv4 {

/// The score of a token that has no weight.
inline constexpr float kNoScore = -std::numeric_limits<float>::infinity();

inline constexpr int kGroup = 128;  ///< tokens per group, rows per state page, window entries
inline constexpr int kPart = 8;     ///< window entries per warp
inline constexpr int kParts = kGroup / kPart;
inline constexpr int kLaneColumns = 2;                           ///< columns per lane: one 8-byte access
inline constexpr int kBlockColumns = kLaneColumns * kWarpLanes;  ///< columns per block: 64
inline constexpr int kC128Threads = kParts * kWarpLanes;
inline constexpr OfflineForm kC128Form{kGroup, kGroup, 2, kLaneColumns * sizeof(float)};

using Columns = Pack<float, kLaneColumns, true>;

/// The work of a thread: `unit` is its plan row, or the number of its run of rows in a decode step. `column` is the
/// first of its columns, and `part` is its warp.
template <int kHeadDim>
struct C128Place {
  static_assert(kHeadDim % kBlockColumns == 0, "kHeadDim must be a multiple of the columns of a block");
  static constexpr unsigned kBlocksPerUnit = kHeadDim / kBlockColumns;
  static constexpr int kRow = 2 * kHeadDim;

  std::uint32_t unit;
  std::uint32_t column;
  int part;

  DSV4_DEVICE C128Place() {
    unit = blockIdx.x / kBlocksPerUnit;
    column = blockIdx.x % kBlocksPerUnit * kBlockColumns + threadIdx.x % kWarpLanes * kLaneColumns;
    part = static_cast<int>(threadIdx.x / kWarpLanes);
  }
  static std::int64_t blocks(std::int64_t units) { return units * kBlocksPerUnit; }
};

/// What the parts of a window give, for the columns of a block.
struct C128Sums {
  float largest[kParts][kBlockColumns];  ///< the largest score of the part
  float weights[kParts][kBlockColumns];  ///< sum of the weights, which are relative to the largest score of the part
  float sum[kParts][kBlockColumns];      ///< sum of kv, weighted in the same way
};

/// The lane's columns of the eight window entries of its part.
template <int kHeadDim>
struct C128Part {
  Columns kv[kPart];
  Columns score[kPart];

  /// Reads entry i of the part. `row` points to the lane's column in the row of the entry's token.
  DSV4_DEVICE void load(int i, const float* row) {
    kv[i].load(row);
    score[i].load(row + kHeadDim);
  }

  /// Writes the lane's columns of `sums`. `ape` points to the lane's column in the first bias row of the part.
  ///
  /// The order of the sums is fixed, and the products are fused explicitly. So prefill and decode make an entry with
  /// the same bits. The bits also do not depend on whether a row comes from the batch or from the state.
  DSV4_DEVICE void add_up(const float* ape, C128Sums& sums, int part, int lane) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      Columns bias;
      bias.load(ape + i * kHeadDim);
#pragma unroll
      for (int c = 0; c < kLaneColumns; ++c) score[i].v[c] = __fadd_rn(score[i].v[c], bias.v[c]);
    }
#pragma unroll
    for (int c = 0; c < kLaneColumns; ++c) {
      float largest = score[0].v[c];
#pragma unroll
      for (int i = 1; i < kPart; ++i) largest = max_number(largest, score[i].v[c]);
      float weights = 0.0f, sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kPart; ++i) {
        // If all scores of the part are minus infinity, their distance to the largest one would be NaN.
        const float below = score[i].v[c] == kNoScore ? kNoScore : __fsub_rn(score[i].v[c], largest);
        const float weight = __expf(below);
        weights = __fadd_rn(weights, weight);
        sum = __fmaf_rn(kv[i].v[c], weight, sum);
      }
      const int column = lane * kLaneColumns + c;
      sums.largest[part][column] = largest;
      sums.weights[part][column] = weights;
      sums.sum[part][column] = sum;
    }
  }
};

/// Returns the weighted mean of a column of the block, from the sums of all parts.
DSV4_DEVICE float c128_mean(const C128Sums& sums, int column) {
  float largest = sums.largest[0][column];
#pragma unroll
  for (int part = 1; part < kParts; ++part) largest = max_number(largest, sums.largest[part][column]);
  float weights = 0.0f, sum = 0.0f;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const float scale = __expf(__fsub_rn(sums.largest[part][column], largest));
    weights = __fmaf_rn(sums.weights[part][column], scale, weights);
    sum = __fmaf_rn(sums.sum[part][column], scale, sum);
  }
  return __fdividef(sum, weights);  // the fast division is valid here, because 1 <= weights <= 128
}

/// Stores the mean of the window. All threads of the block must call it. `ape` points to the lane's column in the first
/// bias row, and `output` to the first column of the block in the row of the entry.
template <int kHeadDim>
DSV4_DEVICE void store_mean(C128Part<kHeadDim>& window, int part, const float* ape, float* output) {
  __shared__ C128Sums sums;
  window.add_up(ape + part * kPart * kHeadDim, sums, part, static_cast<int>(threadIdx.x % kWarpLanes));
  __syncthreads();
  if (threadIdx.x < kBlockColumns) output[threadIdx.x] = c128_mean(sums, static_cast<int>(threadIdx.x));
}

}  // namespace dsv4
