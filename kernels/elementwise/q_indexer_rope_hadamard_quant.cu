/// q_indexer_rope_hadamard_quant: rotates the queries of the indexer, transforms and quantises them to E4M3, and folds
/// their scales into the weights of the heads.
///
///     forward(q_input, q_fp8, weight, weights_out, weight_scale, freqs_cis, positions)
///
/// | argument     | shape       | dtype          | |
/// |--------------|-------------|----------------|-|
/// | q_input      | [T, H, 128] | bfloat16       | contiguous |
/// | q_fp8        | [T, H, 128] | E4M3           | contiguous, out |
/// | weight       | [T, H]      | bfloat16       | contiguous |
/// | weights_out  | [T, H, 1]   | float32        | contiguous, out |
/// | weight_scale | number      |                | rounded to float32 |
/// | freqs_cis    | [M, 64]     | float32        | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | positions    | [T]         | int32 or int64 | contiguous; row of freqs_cis for each token |
///
/// Elements 64 + 2i and 65 + 2i of a head are the real and the imaginary part of pair i, which is rotated as in
/// rotation.cuh. y is the Hadamard transform of the head (hadamard.h). With scale = max(1e-4, max |y|) / 448, the codes
/// are those of y * (1 / scale), and weights_out = (weight * weight_scale) * scale. All values are float32, and every
/// operation rounds once, so every bit is specified. NaN has the code 0x7E and does not count in the maximum.
///
/// A token whose position is outside [0, M) is not rotated. If there are no tokens or no heads, no kernel is launched.
/// If an address is not a multiple of 16 bytes, elements are read and written one by one.

#include "interface/entry.h"
#include "kernels/elementwise/indexer_queries.cuh"

namespace dsv4 {
namespace {

template <typename Position, bool kWide>
__global__ void __launch_bounds__(kQueryThreads)
    q_indexer_quant_kernel(const __grid_constant__ QueryParams p, std::uint8_t* __restrict__ codes) {
  wait_for_previous_kernel();
  QueryPart<Position, kWide> part;
  part.template load<false>(p);
  part.transform();
  const float amax = lanes_max<kQueryLanes>(max_magnitude(part.x));
  if (!part.exists) return;
  const float scale = __fdiv_rn(max_number(kMinAmax, amax), kE4m3Max);
  store_bytes<kWide>(codes + part.row * kQueryDim + part.lane * kQueryPart, codes_of(part.x, __frcp_rn(scale)));
  if (part.lane == 0) p.weights_out[part.row] = __fmul_rn(part.weight(p), scale);
}

void forward(TensorView q_input, TensorView q_fp8, TensorView weight, TensorView weights_out, double weight_scale,
             TensorView freqs_cis, TensorView positions) {
  constexpr const char* kName = "q_indexer_rope_hadamard_quant";
  ArgumentCheck check(kName);
  Size tokens("tokens"), heads("heads");
  const QueryParams params =
      checked_queries(check, tokens, heads, q_input, weight, weights_out, weight_scale, freqs_cis, positions, [&] {
        check.tensor("q_fp8", q_fp8).dtype({kFloat8E4m3}).shape({tokens, heads, kQueryDim}).on_cuda().contiguous();
      });
  if (params.rows == 0) return;

  const bool wide = is_aligned(q_input, 16) && is_aligned(freqs_cis, 16) && is_aligned(q_fp8, 16);
  const bool is_i32 = same_dtype(positions.dtype(), kInt32);
  const auto kernel =
      is_i32 ? (wide ? q_indexer_quant_kernel<std::int32_t, true> : q_indexer_quant_kernel<std::int32_t, false>)
             : (wide ? q_indexer_quant_kernel<std::int64_t, true> : q_indexer_quant_kernel<std::int64_t, false>);
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.rows, kQueryRows), kName);
  Launch{.name = kName, .device = check.device(), .grid = grid, .block = dim3(kQueryThreads)}(
      kernel, params, data_of<std::uint8_t>(q_fp8));
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "q_indexer_rope_hadamard_quant", "q_indexer_rope_hadamard_quant/1", "");
