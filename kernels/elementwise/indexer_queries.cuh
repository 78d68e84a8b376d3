/// What the two kernels share that quantise the queries of the indexer: their arguments, and the heads in registers.
///
/// Shuffles limit these kernels more than memory does. So eight lanes hold a head, 16 elements each: three of the seven
/// stages of the Hadamard transform need shuffles. With a whole warp for a head, five would.
#pragma once

#include "kernels/attn/paged_cache.cuh"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/hadamard.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/rotation.cuh"

namespace dsv4 {

inline constexpr int kQueryDim = 128;
inline constexpr int kQueryLanes = 8;                       ///< lanes that hold a head
inline constexpr int kQueryPart = kQueryDim / kQueryLanes;  ///< elements in a lane
inline constexpr int kQueryThreads = 128;
inline constexpr int kQueryRows = kQueryThreads / kQueryLanes;  ///< heads of a block

struct QueryParams {
  const __nv_bfloat16* input;
  const __nv_bfloat16* weight;
  float* weights_out;
  const float* freqs;
  const void* positions;
  std::int64_t rows;  ///< tokens * heads
  std::int64_t heads;
  std::int64_t table_rows;
  float weight_scale;
};

/// A head's part in the registers of a lane: elements 16 * lane ... 16 * lane + 15. All lanes of a warp must load and
/// transform, because they exchange elements. A lane whose row does not exist has zeros.
template <typename Position, bool kWide>
struct QueryPart {
  std::int64_t row;
  int lane;  ///< in the head's group of lanes
  bool exists;
  Pack<float, kQueryPart, kWide> x;

  /// Loads the elements and rotates the last 64 of the head. If `kRound` is true, these are rounded to bfloat16.
  /// Positions are on the device, so the host cannot check them. If a position is outside the table, nothing is
  /// rotated.
  template <bool kRound>
  DSV4_DEVICE void load(const QueryParams& p) {
    row = static_cast<std::int64_t>(blockIdx.x) * kQueryRows + threadIdx.x / kQueryLanes;
    lane = static_cast<int>(threadIdx.x) % kQueryLanes;
    exists = row < p.rows;
    Pack<__nv_bfloat16, kQueryPart, kWide> elements{};
    if (exists) elements.load(p.input + row * kQueryDim + lane * kQueryPart);
#pragma unroll
    for (int i = 0; i < kQueryPart; ++i) x.v[i] = __bfloat162float(elements.v[i]);

    constexpr int kFirstRotated = (kQueryDim - kRopeDim) / kQueryPart;
    if (!exists || lane < kFirstRotated) return;
    const std::int64_t position = static_cast<const Position*>(p.positions)[row / p.heads];
    if (position < 0 || position >= p.table_rows) return;
    Pack<float, kQueryPart, kWide> angles;
    angles.load(p.freqs + position * kRopeDim + (lane - kFirstRotated) * kQueryPart);
#pragma unroll
    for (int i = 0; i < kQueryPart; i += 2) {
      const float2 pair = rotated<false>(x.v[i], x.v[i + 1], angles.v[i], angles.v[i + 1]);
      x.v[i] = pair.x;
      x.v[i + 1] = pair.y;
    }
    if constexpr (kRound) round();
  }
  DSV4_DEVICE void transform() { hadamard<kQueryPart, kQueryLanes>(x.v); }
  /// Rounds the elements to bfloat16.
  DSV4_DEVICE void round() {
#pragma unroll
    for (int i = 0; i < kQueryPart; ++i) x.v[i] = __bfloat162float(__float2bfloat16_rn(x.v[i]));
  }
  /// The head's weight times the scale of the weights.
  DSV4_DEVICE float weight(const QueryParams& p) const {
    return __fmul_rn(__bfloat162float(p.weight[row]), p.weight_scale);
  }
};

/// Checks the arguments that both ops have, in their order around the arguments of one op only. `check_codes` checks
/// these. `tokens` and `heads` are set from q_input.
template <typename CheckCodes>
QueryParams checked_queries(ArgumentCheck& check, Size& tokens, Size& heads, TensorView q_input, TensorView weight,
                            TensorView weights_out, double weight_scale, TensorView freqs_cis, TensorView positions,
                            CheckCodes check_codes) {
  Size table_rows("table rows");
  check.tensor("q_input", q_input).dtype({kBfloat16}).shape({tokens, heads, kQueryDim}).on_cuda().contiguous();
  check_codes();
  check.tensor("weight", weight).dtype({kBfloat16}).shape({tokens, heads}).on_cuda().contiguous();
  check.tensor("weights_out", weights_out).dtype({kFloat32}).shape({tokens, heads, 1}).on_cuda().contiguous();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.tensor("positions", positions).dtype({kInt32, kInt64}).shape({tokens}).on_cuda().contiguous();
  return {
      .input = data_of<const __nv_bfloat16>(q_input),
      .weight = data_of<const __nv_bfloat16>(weight),
      .weights_out = data_of<float>(weights_out),
      .freqs = data_of<const float>(freqs_cis),
      .positions = data_of<const void>(positions),
      .rows = tokens.value() * heads.value(),
      .heads = heads.value(),
      .table_rows = table_rows.value(),
      .weight_scale = static_cast<float>(weight_scale),
  };
}

}  // namespace dsv4
