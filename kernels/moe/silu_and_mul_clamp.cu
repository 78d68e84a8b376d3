/// silu_and_mul_clamp: computes SwiGLU, which is silu(gate) * up, with both clamped, and rounds it to bfloat16.
///
///     run(input, output, swiglu_limit)
///
/// | argument | shape   | dtype    | |
/// |----------|---------|----------|-|
/// | input    | [T, 2D] | bfloat16 | contiguous; a row has D gates and then D ups |
/// | output   | [T, D]  | bfloat16 | contiguous, out |
///
/// kernels/moe/swiglu.cuh says how a value is computed. D must be a multiple of 8. If T = 0 or D = 0, no kernel is
/// launched.
///
/// Memory bandwidth limits the kernel: it moves 6 bytes per output. A block handles a row, and a thread handles eight
/// neighbouring outputs at a time. So rows of fewer than 256 outputs leave threads without work.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/moe/swiglu.cuh"

namespace dsv4 {
namespace {

constexpr int kMaxThreads = 512;

struct ClampParams {
  const __nv_bfloat16* input;
  __nv_bfloat16* output;
  std::int64_t columns;
  float limit;  ///< rounded to a bfloat16 value
};

template <bool kWide>
__global__ void __launch_bounds__(kMaxThreads) silu_and_mul_clamp_kernel(const __grid_constant__ ClampParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kLaneColumns;
  for (std::int64_t column = threadIdx.x * kLaneColumns; column < p.columns; column += step) {
    GateUp<kWide> x;
    x.load(p.input + row * 2 * p.columns, column, p.columns, /*interleaved=*/false);
    Pack<std::uint32_t, kLaneColumns / 2, kWide> results;
#pragma unroll
    for (int c = 0; c < kLaneColumns / 2; ++c) {
      results.v[c] = bf16_pair(silu_and_mul<true>(to_float(x.gate.v[2 * c]), to_float(x.up.v[2 * c]), p.limit),
                               silu_and_mul<true>(to_float(x.gate.v[2 * c + 1]), to_float(x.up.v[2 * c + 1]), p.limit));
    }
    store_bytes<kWide>(reinterpret_cast<std::uint8_t*>(p.output + row * p.columns + column), results);
  }
}

void run(TensorView input, TensorView output, double swiglu_limit) {
  ArgumentCheck check("silu_and_mul_clamp");
  Size rows("rows"), input_columns("2D"), columns("D");
  check.tensor("input", input).dtype({kBfloat16}).shape({rows, input_columns}).on_cuda().contiguous();
  check.tensor("output", output).dtype({kBfloat16}).shape({rows, columns}).on_cuda().contiguous();
  check.require(input_columns.value() == 2 * columns.value(), "input", "size ", input_columns.value(),
                " of dimension 1 must be ", 2 * columns.value(), ", twice the size of 'output' in dimension 1");
  check.require(columns.value() % kLaneColumns == 0, "output", "the number of columns must be a multiple of 8, got ",
                columns.value());
  if (rows.value() == 0 || columns.value() == 0) return;

  const ClampParams params{
      .input = data_of<const __nv_bfloat16>(input),
      .output = data_of<__nv_bfloat16>(output),
      .columns = columns.value(),
      .limit = rounded_limit(swiglu_limit),
  };
  const bool wide = is_aligned(input, 16) && is_aligned(output, 16);
  const auto threads = std::clamp<std::int64_t>(columns.value() / kLaneColumns, kWarpLanes, kMaxThreads);
  Launch{.name = "silu_and_mul_clamp",
         .device = check.device(),
         .grid = grid_of(rows.value(), "silu_and_mul_clamp"),
         .block = dim3(static_cast<unsigned>(threads))}(
      wide ? silu_and_mul_clamp_kernel<true> : silu_and_mul_clamp_kernel<false>, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run, dsv4::run, "silu_and_mul_clamp", "silu_and_mul_clamp/1", "dtype=bf16");
