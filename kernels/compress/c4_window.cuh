/// Computes compressed entries at ratio 4, for prefill and for decode. A compressed entry is made from a window of
/// eight window entries: one for each token of the entry's own group of four tokens, and of the group before. A lane
/// holds four columns of the eight window entries.
///
/// The row of a token has four blocks of head_dim floats. Blocks 0 and 2 ("overlap") hold the kv and the score that the
/// token has in the window of the next group. Blocks 1 and 3 ("own") hold the kv and the score that it has in the
/// window of its own group.
#pragma once

#include <cstdint>

#include "kernels/common/device.h"
#include "kernels/compress/offline_calls.cuh"

namespace dsv4 {

inline constexpr int kGroup = 4;                     ///< tokens per group, and rows per state page
inline constexpr int kWindow = 2 * kGroup;           ///< window entries per compressed entry
inline constexpr int kLaneColumns = 4;               ///< columns per lane: one 16-byte access
inline constexpr int kWarpColumns = 4 * kWarpLanes;  ///< columns per warp: 128
inline constexpr int kC4Threads = 128;               ///< four warps: one entry at head_dim 512, or four entries at 128

using Columns = Pack<float, kLaneColumns, true>;

inline constexpr OfflineForm kC4Form{kGroup, kWindow, 4, kLaneColumns * sizeof(float)};

/// The work of a lane: `unit` is its plan row, and `column` is the first of its columns.
template <int kHeadDim>
struct C4Place {
  static_assert(kHeadDim % kWarpColumns == 0, "kHeadDim must be a multiple of the columns of a warp");
  static constexpr int kWarpsPerUnit = kHeadDim / kWarpColumns;
  static constexpr int kRow = 4 * kHeadDim;

  std::uint32_t unit;
  std::uint32_t column;

  DSV4_DEVICE C4Place() {
    // The number of a thread may need more than 32 bits.
    const auto warp = static_cast<std::uint32_t>((std::uint64_t{blockIdx.x} * kC4Threads + threadIdx.x) / kWarpLanes);
    unit = warp / kWarpsPerUnit;
    column = warp % kWarpsPerUnit * kWarpColumns + threadIdx.x % kWarpLanes * kLaneColumns;
  }
  static std::int64_t blocks(std::int64_t units) {
    return ceil_div<std::int64_t>(units * kWarpsPerUnit * kWarpLanes, kC4Threads);
  }
};

/// The lane's columns of the eight window entries. Entries 0..3 are read from the "overlap" blocks of their tokens'
/// rows, and entries 4..7 from the "own" blocks.
template <int kHeadDim>
struct C4Window {
  Columns kv[kWindow];
  Columns score[kWindow];

  /// Reads entry i. `row` points to the lane's column in the row of the entry's token.
  DSV4_DEVICE void load(int i, const float* row) {
    const float* half = row + (i < kGroup ? 0 : kHeadDim);
    kv[i].load(half);
    score[i].load(half + 2 * kHeadDim);
  }
  /// Marks the entries of the group before as absent: their score is `lowest`. If another entry has a far higher score,
  /// their weights are then 0.
  DSV4_DEVICE void mark_absent(float lowest) {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
#pragma unroll
      for (int c = 0; c < kLaneColumns; ++c) {
        kv[i].v[c] = 0.0f;
        score[i].v[c] = lowest;
      }
    }
  }

  /// Returns the weighted mean of each of the lane's columns. `ape` points to the lane's column in the first of the
  /// eight bias rows.
  ///
  /// The order of the sums is fixed, and the products are fused explicitly. So prefill and decode make an entry with
  /// the same bits. The bits also do not depend on whether a row comes from the batch or from the state.
  DSV4_DEVICE Columns mean(const float* ape) {
#pragma unroll
    for (int i = 0; i < kWindow; ++i) {
      Columns bias;
      bias.load(ape + i * kHeadDim);
#pragma unroll
      for (int c = 0; c < kLaneColumns; ++c) score[i].v[c] = __fadd_rn(score[i].v[c], bias.v[c]);
    }
    Columns out;
#pragma unroll
    for (int c = 0; c < kLaneColumns; ++c) {
      float largest = score[0].v[c];
#pragma unroll
      for (int i = 1; i < kWindow; ++i) largest = max_number(largest, score[i].v[c]);
      float weights = 0.0f, sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kWindow; ++i) {
        const float weight = __expf(__fsub_rn(score[i].v[c], largest));
        weights = __fadd_rn(weights, weight);
        sum = __fmaf_rn(kv[i].v[c], weight, sum);
      }
      out.v[c] = __fdividef(sum, weights);  // the fast division is valid here, because 1 <= weights <= 8
    }
    return out;
  }
};

}  // namespace dsv4
