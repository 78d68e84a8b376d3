/// silu_and_mul_contig_post_quant: computes SwiGLU, which is silu(gate) * up, for every row of a matrix, and quantises
/// the result to E4M3 in groups of 128 columns.
///
///     run_u<U>_s<S>_c<C>(input, output, output_scale, transposed, swiglu_limit)
///     U = 1: scales are powers of two (UE8M0); S = 1: gate and up interleaved; C = 1: clamp by swiglu_limit
///
/// | argument     | shape      | dtype    | |
/// |--------------|------------|----------|-|
/// | input        | [T, 2D]    | bfloat16 | contiguous |
/// | output       | [T, D]     | E4M3     | contiguous, out |
/// | output_scale | [T, D/128] | float32  | contiguous, out; if `transposed` int32 [T, D/512], see below |
///
/// kernels/moe/swiglu.cuh says how the outputs are computed. With U, the scale is stored as a power of two. If
/// `transposed`, byte g % 4 of word [row, g / 4] holds the scale byte of group g. Words of neighbouring rows are
/// neighbours in memory (stride 1). The stride of the other dimension is at least T, and may be larger: then the words
/// between T and the stride are not written.
///
/// D must be a multiple of 256 (of 512 if transposed). If T = 0, no kernel is launched.
///
/// Memory bandwidth limits the kernel: it moves 5 bytes per output column. A block handles a row, and a thread handles
/// eight neighbouring columns at a time.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/moe/swiglu.cuh"

namespace dsv4 {
namespace {

constexpr int kGroup = 128;
constexpr int kGroupLanes = kGroup / kLaneColumns;
constexpr int kMaxThreads = 512;

struct ContigParams {
  const __nv_bfloat16* input;
  std::uint8_t* output;
  void* scale;
  std::int64_t columns;
  std::int64_t word_stride;  ///< words between the words of neighbouring columns, if transposed
  float limit;               ///< rounded to a bfloat16 value
  bool transposed;
  bool interleaved;
};

template <bool kPowerOfTwo, bool kClamp, bool kWide>
__global__ void __launch_bounds__(kMaxThreads) silu_and_mul_contig_kernel(const __grid_constant__ ContigParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kLaneColumns;
  // The number of columns is a multiple of a warp's 256. So all lanes of a warp do the same steps.
  for (std::int64_t column = threadIdx.x * kLaneColumns; column < p.columns; column += step) {
    GateUp<kWide> x;
    x.load(p.input + row * 2 * p.columns, column, p.columns, p.interleaved);
    std::uint8_t* const codes = p.output + row * p.columns + column;
    const GroupScale scale = quantise_lane<kGroup, kPowerOfTwo, kClamp>(x, p.limit, codes);
    if (threadIdx.x % kGroupLanes != 0) continue;
    const std::int64_t group = column / kGroup;
    if (kPowerOfTwo && p.transposed) {
      static_cast<std::uint8_t*>(p.scale)[(group / 4 * p.word_stride + row) * 4 + group % 4] =
          static_cast<std::uint8_t>(scale.byte);
    } else {
      static_cast<float*>(p.scale)[row * (p.columns / kGroup) + group] = scale.value;
    }
  }
}

template <bool kPowerOfTwo, bool kInterleaved, bool kClamp>
void run(TensorView input, TensorView output, TensorView output_scale, bool transposed, double swiglu_limit) {
  ArgumentCheck check("silu_and_mul_contig_post_quant");
  Size rows("rows"), input_columns("2D"), columns("D");
  check.tensor("input", input).dtype({kBfloat16}).shape({rows, input_columns}).on_cuda().contiguous();
  check.tensor("output", output).dtype({kFloat8E4m3}).shape({rows, columns}).on_cuda().contiguous();
  const std::int64_t d = columns.value();
  check.require(input_columns.value() == 2 * d, "input", "size ", input_columns.value(), " of dimension 1 must be ",
                2 * d, ", twice the size of 'output' in dimension 1");
  check.require(!transposed || kPowerOfTwo, "transposed",
                "is only supported with power-of-two scales, but this function makes float32 scales");
  const std::int64_t multiple = transposed ? 512 : 256;
  check.require(d > 0 && d % multiple == 0, "output", "the number of columns must be a positive multiple of ", multiple,
                ", got ", d);
  auto scales = check.tensor("output_scale", output_scale);
  std::int64_t word_stride = 0;
  if (transposed) {
    scales.dtype({kInt32}).shape({rows, d / 512}).on_cuda().stride(0, 1);
    word_stride = stride_of(output_scale, 1);
    check.require(d == 512 || word_stride >= rows.value(), "output_scale", "stride ", word_stride,
                  " of dimension 1 must be at least ", rows.value(), ", the number of rows");
  } else {
    scales.dtype({kFloat32}).shape({rows, d / kGroup}).on_cuda().contiguous();
  }
  if (rows.value() == 0) return;

  const ContigParams params{
      .input = data_of<const __nv_bfloat16>(input),
      .output = data_of<std::uint8_t>(output),
      .scale = data_of<void>(output_scale),
      .columns = d,
      .word_stride = word_stride,
      .limit = rounded_limit(swiglu_limit),
      .transposed = transposed,
      .interleaved = kInterleaved,
  };
  const bool wide = is_aligned(input, 16) && is_aligned(output, 8);
  const auto kernel = wide ? silu_and_mul_contig_kernel<kPowerOfTwo, kClamp, true>
                           : silu_and_mul_contig_kernel<kPowerOfTwo, kClamp, false>;
  Launch{.name = "silu_and_mul_contig_post_quant",
         .device = check.device(),
         .grid = grid_of(rows.value(), "silu_and_mul_contig_post_quant"),
         .block = dim3(static_cast<unsigned>(std::min<std::int64_t>(d / kLaneColumns, kMaxThreads)))}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_SWIGLU_VARIANTS("silu_and_mul_contig_post_quant", "");
