/// silu_and_mul_masked_post_quant: computes SwiGLU, which is silu(gate) * up, and quantises the result to E4M3
/// in groups of 128 columns. Each expert has T rows, of which the first masked_m are in use (live); the others
/// are padding.
///
///     run_u<U>_s<S>_c<C>(input, output, output_scale, masked_m, topk, transposed, swiglu_limit)
///     run_tmp_u<U>_c<C>(...)      the form Form::kTmp, without interleaving
///     U = 1: scales are powers of two (UE8M0); S = 1: gate and up interleaved; C = 1: clamp by swiglu_limit
///
/// | argument     | shape          | dtype    | |
/// |--------------|----------------|----------|-|
/// | input        | [E, T, 2D]     | bfloat16 | contiguous |
/// | output       | [E, T, D]      | E4M3     | contiguous, out |
/// | output_scale | [E, T, D/128]  | float32  | contiguous, out; if `transposed` int32 [E, D/512, T], see below |
/// | masked_m     | [E]            | int32    | contiguous; number of live rows of each expert, clamped to [0, T] |
///
/// kernels/moe/swiglu.cuh says how the output of a live row is computed, in groups of 128 columns. With U, the scale is
/// stored as a power of two. If `transposed`, byte g % 4 of word [e, g / 4, row] holds the scale byte of group g of
/// that row of expert e. So a word holds four scale bytes.
///
/// Live rows are numbered expert by expert. Only the first T * topk live rows are processed. Nothing is written for any
/// other row. If E = 0 or T * topk = 0, no kernel is launched.
///
/// D must be a multiple of 256 (of 512 if transposed) and at most 8192. E must be at most 256 and at most D / 8. The
/// limit D / 8 is the number of threads of a block, because each thread handles eight columns. The prefix sums of the
/// live rows need one thread per expert.
///
/// Memory bandwidth limits the kernel: it moves 5 bytes per output column. The launch has only as many blocks as can
/// run on the device at the same time. The live rows are divided among these blocks. So padding costs nothing, and each
/// block computes the prefix sums only once.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/moe/swiglu.cuh"

namespace dsv4 {
namespace {

constexpr int kGroup = 128;
constexpr int kLanesPerGroup = kGroup / kLaneColumns;
constexpr int kMaxExperts = 256;
constexpr int kMaxThreads = 1024;

struct SiluParams {
  const __nv_bfloat16* input;
  std::uint8_t* output;
  void* scale;
  const std::int32_t* live_rows;
  unsigned max_rows;  ///< min(T * topk, E * T)
  int padded_rows;
  int columns;
  float limit;  ///< rounded to a bfloat16 value in the form kMain
  int experts;
  bool transposed;
  bool interleaved;
};

/// Fills `ends` with the inclusive prefix sums of the experts' numbers of live rows. Entries after the last expert get
/// the total, until the number of entries is a multiple of 32. Each thread handles one expert, but all threads of the
/// block must call. Returns the total.
DSV4_DEVICE unsigned sum_live_rows(const SiluParams& p, unsigned* ends) {
  __shared__ unsigned warp_total[kMaxExperts / 32];
  const int expert = static_cast<int>(threadIdx.x);
  const int lane = expert % 32;
  const int warp = expert / 32;
  const int warps = (p.experts + 31) / 32;
  unsigned sum = 0;
  if (expert < p.experts) {
    const int m = p.live_rows[expert];
    sum = static_cast<unsigned>(m < 0 ? 0 : m > p.padded_rows ? p.padded_rows : m);
  }
  if (warp < warps) {  // all lanes of a warp agree
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const unsigned lower = __shfl_up_sync(kAllLanes, sum, offset);
      if (lane >= offset) sum += lower;
    }
    if (lane == 31) warp_total[warp] = sum;
  }
  __syncthreads();
  if (warp < warps) {
    for (int w = 0; w < warp; ++w) sum += warp_total[w];
    ends[expert] = sum;
  }
  __syncthreads();
  return ends[p.experts - 1];
}

/// Returns the expert of live row `row`. All lanes of a warp must pass the same row. The result is the number of
/// experts whose entry in `ends` is at most `row`.
DSV4_DEVICE int expert_of(const unsigned* ends, int experts, unsigned row) {
  int before = 0;
  for (int first = 0; first < experts; first += 32) {
    before += __popc(__ballot_sync(kAllLanes, ends[first + threadIdx.x % 32] <= row));
  }
  return before;
}

template <bool kPowerOfTwo, bool kClamp, Form kForm, bool kWide>
__global__ void __launch_bounds__(kMaxThreads, kWide ? 2 : 1)
    silu_and_mul_kernel(const __grid_constant__ SiluParams p) {
  __shared__ unsigned ends[kMaxExperts];
  wait_for_previous_kernel();
  const unsigned live = sum_live_rows(p, ends);
  const unsigned rows = live < p.max_rows ? live : p.max_rows;

  const int lane = static_cast<int>(threadIdx.x);

  for (unsigned row = blockIdx.x; row < rows; row += gridDim.x) {
    const int expert = expert_of(ends, p.experts, row);
    const int in_expert = static_cast<int>(row - (expert == 0 ? 0 : ends[expert - 1]));
    const std::int64_t at = static_cast<std::int64_t>(expert) * p.padded_rows + in_expert;
    GateUp<kWide> x;
    x.load(p.input + at * (2 * p.columns), lane * kLaneColumns, p.columns, p.interleaved);
    std::uint8_t* const codes = p.output + at * p.columns + lane * kLaneColumns;
    const GroupScale scale = quantise_lane<kGroup, kPowerOfTwo, kClamp, kForm>(x, p.limit, codes);
    if (lane % kLanesPerGroup == 0) {
      const int groups = p.columns / kGroup;
      const int group = lane / kLanesPerGroup;
      if (kPowerOfTwo && p.transposed) {
        const std::int64_t word =
            (static_cast<std::int64_t>(expert) * (groups / 4) + group / 4) * p.padded_rows + in_expert;
        static_cast<std::uint8_t*>(p.scale)[word * 4 + group % 4] = static_cast<std::uint8_t>(scale.byte);
      } else {
        static_cast<float*>(p.scale)[at * groups + group] = scale.value;
      }
    }
  }
}

template <bool kPowerOfTwo, bool kInterleaved, bool kClamp, Form kForm = Form::kMain>
void run(TensorView input, TensorView output, TensorView output_scale, TensorView masked_m, std::int64_t topk,
         bool transposed, double swiglu_limit) {
  ArgumentCheck check("silu_and_mul_masked_post_quant");
  Size experts("experts"), padded_rows("rows per expert"), input_columns("2D"), columns("D");
  check.tensor("input", input).dtype({kBfloat16}).shape({experts, padded_rows, input_columns}).on_cuda().contiguous();
  check.tensor("output", output).dtype({kFloat8E4m3}).shape({experts, padded_rows, columns}).on_cuda().contiguous();
  const std::int64_t d = columns.value();
  check.require(input_columns.value() == 2 * d, "input", "size ", input_columns.value(), " of dimension 2 must be ",
                2 * d, ", twice the size of 'output' in dimension 2");
  check.require(!transposed || kPowerOfTwo, "transposed",
                "is only supported with power-of-two scales, but this function makes float32 scales");
  const std::int64_t multiple = transposed ? 512 : 256;
  check.require(d > 0 && d % multiple == 0 && d <= kMaxThreads * kLaneColumns, "output",
                "the number of columns must be a multiple of ", multiple, " and lie in [", multiple, ", ",
                kMaxThreads * kLaneColumns, "], got ", d);
  const std::int64_t max_experts = std::min<std::int64_t>(kMaxExperts, d / kLaneColumns);
  check.require(experts.value() <= max_experts, "masked_m", "at most ", max_experts, " experts are supported with ", d,
                " columns, got ", experts.value());
  auto scales = check.tensor("output_scale", output_scale);
  if (transposed) {
    scales.dtype({kInt32}).shape({experts, static_cast<int>(d / 512), padded_rows});
  } else {
    scales.dtype({kFloat32}).shape({experts, padded_rows, static_cast<int>(d / kGroup)});
  }
  scales.on_cuda().contiguous();
  check.tensor("masked_m", masked_m).dtype({kInt32}).shape({experts}).on_cuda().contiguous();
  check.require(topk >= 0 && topk <= 0xFFFFFFFF, "topk", "must lie in [0, 2^32), got ", topk);

  if (experts.value() == 0 || padded_rows.value() == 0 || topk == 0) return;
  check.require(experts.value() * padded_rows.value() <= 0x7FFFFFFF, "input",
                "at most 2^31 - 1 rows are supported, got ", experts.value() * padded_rows.value());
  const std::int64_t max_rows = std::min(padded_rows.value() * topk, experts.value() * padded_rows.value());

  const SiluParams params{
      .input = data_of<const __nv_bfloat16>(input),
      .output = data_of<std::uint8_t>(output),
      .scale = data_of<void>(output_scale),
      .live_rows = data_of<const std::int32_t>(masked_m),
      .max_rows = static_cast<unsigned>(max_rows),
      .padded_rows = static_cast<int>(padded_rows.value()),
      .columns = static_cast<int>(d),
      .limit = kForm == Form::kTmp ? static_cast<float>(swiglu_limit) : rounded_limit(swiglu_limit),
      .experts = static_cast<int>(experts.value()),
      .transposed = transposed,
      .interleaved = kInterleaved,
  };
  const bool wide = is_aligned(input, 16) && is_aligned(output, 8);
  const auto kernel = wide ? silu_and_mul_kernel<kPowerOfTwo, kClamp, kForm, true>
                           : silu_and_mul_kernel<kPowerOfTwo, kClamp, kForm, false>;
  const int threads = static_cast<int>(d / kLaneColumns);
  // As many blocks as can run at the same time (2048 threads per multiprocessor), but at most one per possible
  // live row.
  const std::int64_t resident =
      static_cast<std::int64_t>(multiprocessor_count(check.device())) * (2 * kMaxThreads / threads);
  Launch{.name = "silu_and_mul_masked_post_quant",
         .device = check.device(),
         .grid = grid_of(std::min(resident, max_rows), "silu_and_mul_masked_post_quant"),
         .block = dim3(threads)}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_SWIGLU_VARIANTS("silu_and_mul_masked_post_quant", ";form=main");

#define DSV4_TMP_VARIANT(U, C)                                                              \
  DSV4_ENTRY(run_tmp_u##U##_c##C, (dsv4::run<(U) == 1, false, (C) == 1, dsv4::Form::kTmp>), \
             "silu_and_mul_masked_post_quant", "silu_and_mul_masked_post_quant/1",          \
             "group=128;ue8m0=" #U ";swizzle=0;clamp=" #C ";form=tmp")
DSV4_TMP_VARIANT(0, 0);
DSV4_TMP_VARIANT(0, 1);
DSV4_TMP_VARIANT(1, 0);
DSV4_TMP_VARIANT(1, 1);
