/// The arithmetic that prefill and decode share at ratio 4: a lane holds four columns of the eight window entries.
///
/// A row has four blocks of head_dim floats. Blocks 0 and 2 ("overlap") hold kv and score of the token as a member of
/// the next group's window. Blocks 1 and 3 hold kv and score of the token as a member of its own group.
#pragma once

#include <cfloat>
#include <cstdint>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr int kGroup = 4;                     ///< tokens of a group, rows of a state page
inline constexpr int kWindow = 2 * kGroup;           ///< window entries that make a compressed entry
inline constexpr int kLaneColumns = 4;               ///< one 16-byte access
inline constexpr int kWarpColumns = 4 * kWarpLanes;  ///< 128
inline constexpr int kC4Threads = 128;               ///< four warps: one entry at head_dim 512, four at 128

using Columns = Pack<float, kLaneColumns, true>;

/// What a lane works on: `unit` is the plan row, `column` is the lane's first column.
template <int kHeadDim>
struct C4Place {
  static_assert(kHeadDim % kWarpColumns == 0, "kHeadDim must be a multiple of the columns of a warp");
  static constexpr int kWarpsPerUnit = kHeadDim / kWarpColumns;
  static constexpr int kRow = 4 * kHeadDim;

  std::uint32_t unit;
  std::uint32_t column;

  DSV4_DEVICE C4Place() {
    const std::uint32_t warp = (blockIdx.x * kC4Threads + threadIdx.x) / kWarpLanes;
    unit = warp / kWarpsPerUnit;
    column = warp % kWarpsPerUnit * kWarpColumns + threadIdx.x % kWarpLanes * kLaneColumns;
  }
  static std::int64_t blocks(std::int64_t units) {
    return ceil_div<std::int64_t>(units * kWarpsPerUnit * kWarpLanes, kC4Threads);
  }
};

/// Window entries of a lane. Entries 0..3 come from the overlap blocks of their rows, entries 4..7 from the own blocks.
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
  /// Marks entry i as absent. Its weight is 0 if another entry has a score well above -FLT_MAX.
  DSV4_DEVICE void absent(int i) {
#pragma unroll
    for (int c = 0; c < kLaneColumns; ++c) {
      kv[i].v[c] = 0.0f;
      score[i].v[c] = -FLT_MAX;
    }
  }

  /// The weighted means of the lane's columns. `ape` points to the lane's column in the first of eight bias rows.
  ///
  /// The order of the sums is fixed, and the products are fused explicitly. So an entry has the same bits in prefill
  /// and in decode, and for rows from the batch and from the state.
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
      out.v[c] = __fdividef(sum, weights);  // 1 <= weights <= 8: inside the range of the fast division
    }
    return out;
  }
};

/// The tensors of a call, and their head_dim.
struct C4Tensors {
  float* state;
  const float* input;
  float* output;
  const float* ape;
  std::int64_t head_dim;
};

/// Checks the tensors. Sets `tokens` to the rows of kv_input, and `entries` to the rows of kv_output.
inline C4Tensors check_c4_tensors(ArgumentCheck& check, const TensorView& kv_buffer, const TensorView& kv_input,
                                  const TensorView& kv_output, const TensorView& ape, Size& tokens, Size& entries) {
  Size head_dim("head_dim"), pages("pages");
  constexpr std::uintptr_t kAccess = kLaneColumns * sizeof(float);
  check.tensor("ape", ape).dtype({kFloat32}).shape({kWindow, head_dim}).on_cuda().contiguous().aligned(kAccess);
  check.require(head_dim.value() == 128 || head_dim.value() == 512, "ape",
                "size of dimension 1 (head_dim) must be 128 or 512, got " + std::to_string(head_dim.value()));
  const std::int64_t row = 4 * head_dim.value();
  check.tensor("kv_buffer", kv_buffer)
      .dtype({kFloat32})
      .shape({pages, kGroup, row})
      .on_cuda()
      .contiguous()
      .aligned(kAccess);
  check.tensor("kv_input", kv_input).dtype({kFloat32}).shape({tokens, row}).on_cuda().contiguous().aligned(kAccess);
  check.tensor("kv_output", kv_output)
      .dtype({kFloat32})
      .shape({entries, head_dim})
      .on_cuda()
      .contiguous()
      .aligned(kAccess);
  return {data_of<float>(kv_buffer), data_of<const float>(kv_input), data_of<float>(kv_output),
          data_of<const float>(ape), head_dim.value()};
}

}  // namespace dsv4
