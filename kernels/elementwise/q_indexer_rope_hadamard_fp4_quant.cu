/// q_indexer_rope_hadamard_fp4_quant: rotates the queries of the indexer, transforms and quantises them to E2M1, and
/// scales the weights of the heads.
///
///     forward(q_input, q_fp4, q_sf, weight, weights_out, weight_scale, freqs_cis, positions)
///
/// | argument     | shape       | dtype          | |
/// |--------------|-------------|----------------|-|
/// | q_input      | [T, H, 128] | bfloat16       | contiguous |
/// | q_fp4        | [T, H, 64]  | int8           | contiguous, out; byte i has elements 2i (low half) and 2i + 1 |
/// | q_sf         | [T, H]      | int32          | contiguous, out; byte g is the scale byte of elements from 32g on |
/// | weight       | [T, H]      | bfloat16       | contiguous |
/// | weights_out  | [T, H, 1]   | float32        | contiguous, out |
/// | weight_scale | number      |                | rounded to float32 |
/// | freqs_cis    | [M, 64]     | float32        | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | positions    | [T]         | int32 or int64 | contiguous; row of freqs_cis for each token |
///
/// Elements 64 + 2i and 65 + 2i of a head are the real and the imaginary part of pair i, which is rotated as in
/// rotation.cuh and rounded to bfloat16. y is the Hadamard transform of the head (hadamard.h), rounded to bfloat16.
/// Each group of 32 elements has a UE8M0 byte and the codes of y divided by its scale (e2m1.h). The scales are not in
/// weights_out = weight * weight_scale. Every operation rounds once, so every bit is specified.
///
/// A token whose position is outside [0, M) is not rotated. If there are no tokens or no heads, no kernel is launched.
/// If an address is not a multiple of 16 bytes, elements are read and written one by one.

#include "interface/entry.h"
#include "kernels/common/e2m1.h"
#include "kernels/elementwise/indexer_queries.cuh"

namespace dsv4 {
namespace {

constexpr int kLanesPerGroup = 32 / kQueryPart;  // lanes that hold the elements of a scale byte

/// The outputs of this op only, as bytes.
struct Fp4Out {
  std::uint8_t* codes;
  std::uint8_t* scales;
};

template <typename Position, bool kWide>
__global__ void __launch_bounds__(kQueryThreads)
    q_indexer_fp4_kernel(const __grid_constant__ QueryParams p, const __grid_constant__ Fp4Out out) {
  wait_for_previous_kernel();
  QueryPart<Position, kWide> part;
  part.template load<true>(p);
  part.transform();
  part.round();
  const float amax = lanes_max<kLanesPerGroup>(max_magnitude(part.x));
  if (!part.exists) return;
  const std::uint32_t byte = e2m1_scale_byte(amax);
  const float inverse = ue8m0_inverse(byte);
  const Pack<std::uint32_t, 2, kWide> codes{{e2m1_codes<8>(part.x.v, inverse), e2m1_codes<8>(part.x.v + 8, inverse)}};
  store_bytes<kWide>(out.codes + part.row * (kQueryDim / 2) + part.lane * (kQueryPart / 2), codes);
  if (part.lane % kLanesPerGroup == 0) {
    out.scales[part.row * 4 + part.lane / kLanesPerGroup] = static_cast<std::uint8_t>(byte);
  }
  if (part.lane == 0) p.weights_out[part.row] = part.weight(p);
}

void forward(TensorView q_input, TensorView q_fp4, TensorView q_sf, TensorView weight, TensorView weights_out,
             double weight_scale, TensorView freqs_cis, TensorView positions) {
  constexpr const char* kName = "q_indexer_rope_hadamard_fp4_quant";
  ArgumentCheck check(kName);
  Size tokens("tokens"), heads("heads");
  const QueryParams params =
      checked_queries(check, tokens, heads, q_input, weight, weights_out, weight_scale, freqs_cis, positions, [&] {
        check.tensor("q_fp4", q_fp4).dtype({kInt8}).shape({tokens, heads, kQueryDim / 2}).on_cuda().contiguous();
        check.tensor("q_sf", q_sf).dtype({kInt32}).shape({tokens, heads}).on_cuda().contiguous();
      });
  if (params.rows == 0) return;

  const bool wide = is_aligned(q_input, 16) && is_aligned(freqs_cis, 16) && is_aligned(q_fp4, 8);
  const bool is_i32 = same_dtype(positions.dtype(), kInt32);
  const auto kernel =
      is_i32 ? (wide ? q_indexer_fp4_kernel<std::int32_t, true> : q_indexer_fp4_kernel<std::int32_t, false>)
             : (wide ? q_indexer_fp4_kernel<std::int64_t, true> : q_indexer_fp4_kernel<std::int64_t, false>);
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.rows, kQueryRows), kName);
  Launch{.name = kName, .device = check.device(), .grid = grid, .block = dim3(kQueryThreads)}(
      kernel, params, Fp4Out{data_of<std::uint8_t>(q_fp4), data_of<std::uint8_t>(q_sf)});
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "q_indexer_rope_hadamard_fp4_quant", "q_indexer_rope_hadamard_fp4_quant/1", "");
