/// What the two kernels share that quantise the queries of the indexer: their arguments, and the heads in registers.
///
/// Shuffles limit these kernels more than memory does. So eight lanes hold a head, 16 elements each: three of the seven
/// stages of the Hadamard transform need shuffles. With a whole warp for a head, five would. If the heads are too few
/// to fill the device, the work of a single lane determines the time. Then 16 lanes hold a head. The bits are the same.
#pragma once

#include "kernels/attn/paged_cache.cuh"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/hadamard.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/rotation.cuh"

namespace dsv4 {

inline constexpr int kQueryDim = 128;
inline constexpr int kQueryLanes = 8;      ///< lanes that hold a head
inline constexpr int kQueryLanesFew = 16;  ///< the same if there are at most kFewQueries heads
inline constexpr std::int64_t kFewQueries = 8192;
inline constexpr int kQueryThreads = 128;

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

/// A head's part in the registers of a lane: kPart consecutive elements. All lanes of a warp must load and transform,
/// because they exchange elements. A lane whose row does not exist has zeros.
template <typename Position, bool kWide, int kLanes>
struct QueryPart {
  static constexpr int kPart = kQueryDim / kLanes;      ///< elements in a lane
  static constexpr int kRows = kQueryThreads / kLanes;  ///< heads of a block
  std::int64_t row;
  int lane;  ///< in the head's group of lanes
  bool exists;
  Pack<float, kPart, kWide> x;

  /// Loads the elements and rotates the last 64 of the head. If `kRound` is true, these are rounded to bfloat16.
  /// Positions are on the device, so the host cannot check them. If a position is outside the table, nothing is
  /// rotated.
  template <bool kRound>
  DSV4_DEVICE void load(const QueryParams& p) {
    row = static_cast<std::int64_t>(blockIdx.x) * kRows + threadIdx.x / kLanes;
    lane = static_cast<int>(threadIdx.x) % kLanes;
    exists = row < p.rows;
    Pack<__nv_bfloat16, kPart, kWide> elements{};
    if (exists) elements.load(p.input + row * kQueryDim + lane * kPart);
#pragma unroll
    for (int i = 0; i < kPart; ++i) x.v[i] = __bfloat162float(elements.v[i]);

    constexpr int kFirstRotated = (kQueryDim - kRopeDim) / kPart;
    if (!exists || lane < kFirstRotated) return;
    const std::int64_t position = static_cast<const Position*>(p.positions)[row / p.heads];
    if (position < 0 || position >= p.table_rows) return;
    Pack<float, kPart, kWide> angles;
    angles.load(p.freqs + position * kRopeDim + (lane - kFirstRotated) * kPart);
#pragma unroll
    for (int i = 0; i < kPart; i += 2) {
      const float2 pair = rotated<false>(x.v[i], x.v[i + 1], angles.v[i], angles.v[i + 1]);
      x.v[i] = pair.x;
      x.v[i + 1] = pair.y;
    }
    if constexpr (kRound) round();
  }
  DSV4_DEVICE void transform() { hadamard<kPart, kLanes>(x.v); }
  /// Rounds the elements to bfloat16.
  DSV4_DEVICE void round() {
#pragma unroll
    for (int i = 0; i < kPart; ++i) x.v[i] = __bfloat162float(__float2bfloat16_rn(x.v[i]));
  }
  /// The head's weight times the scale of the weights.
  DSV4_DEVICE float weight(const QueryParams& p) const {
    return __fmul_rn(__bfloat162float(p.weight[row]), p.weight_scale);
  }
};

/// Launches the kernel for a call. `Kernels::of<Position, kWide, kLanes>()` returns the kernel for a type of the
/// positions, for wide accesses or not, and for a number of lanes of a head.
template <class Kernels, typename... Arguments>
void launch_queries(const char* op, DLDevice device, const QueryParams& params, const TensorView& positions, bool wide,
                    const Arguments&... arguments) {
  const bool few = params.rows <= kFewQueries;
  const auto with_lanes = [&]<typename Position, bool kWide>() {
    return few ? Kernels::template of<Position, kWide, kQueryLanesFew>()
               : Kernels::template of<Position, kWide, kQueryLanes>();
  };
  const auto with_positions = [&]<typename Position>() {
    return wide ? with_lanes.template operator()<Position, true>() : with_lanes.template operator()<Position, false>();
  };
  const auto kernel = same_dtype(positions.dtype(), kInt32) ? with_positions.template operator()<std::int32_t>()
                                                            : with_positions.template operator()<std::int64_t>();
  const std::int64_t lanes = params.rows * (few ? kQueryLanesFew : kQueryLanes);
  Launch{.name = op,
         .device = device,
         .grid = grid_of(ceil_div<std::int64_t>(lanes, kQueryThreads), op),
         .block = dim3(kQueryThreads)}(kernel, params, arguments...);
}

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
