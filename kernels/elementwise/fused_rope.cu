/// fused_rope: applies the rotary position embedding in place to q and, if k is given, to k.
///
///     forward(q, k?, freqs_cis, positions, inverse)
///
/// | argument  | shape       | dtype          | |
/// |-----------|-------------|----------------|-|
/// | q         | [T, HQ, 64] | bfloat16       | in place; unit stride in the last dimension, any other strides |
/// | k         | [T, HK, 64] | bfloat16       | as q, or None |
/// | freqs_cis | [M, 64]     | float32        | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | positions | [T]         | int32 or int64 | contiguous; row of freqs_cis for each token |
///
/// Elements 2i and 2i + 1 of a head are the real part re and the imaginary part im of pair i. With c = cos_i and
/// s = sin_i, the pair is multiplied by the complex number c + j*s, or by c - j*s if `inverse` is true. The result is
/// computed in float32 and rounded once to bfloat16. One product of each sum is fused, always the same one. So every
/// bit of the results re' and im' is specified: if `inverse` is false, re' = fma(c, re, -(s*im)) and im' = fma(s, re,
/// c*im). If it is true, re' = fma(c, re, s*im) and im' = fma(c, im, -(s*re)).
///
/// Positions are on the device, so the host cannot check them. A token whose position is outside [0, M) is left
/// unchanged. If there are no tokens or no heads, no kernel is launched.
///
/// Memory bandwidth limits the kernel. A block handles heads of one token only. So it reads one row of freqs_cis, and
/// no lane needs a division to find its head. A head takes eight 16-byte accesses. Each lane loads all its heads before
/// it rotates the first of them. If a stride or an address is not a multiple of 16 bytes, each access moves one pair (4
/// bytes). If it is not a multiple of 4 bytes either, each access moves one element.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/rotation.cuh"

namespace dsv4 {
namespace {

constexpr int kMaxThreads = 256;
constexpr std::int64_t kMaxHeads = 1 << 20;  // keeps grid.y below 65536 for every kind of access

struct Heads {
  __nv_bfloat16* data;
  std::int64_t token_stride;  ///< in elements
  std::int64_t head_stride;
  int count;
  int blocks = 0;  ///< number of blocks along grid.y that handle these heads
};

struct RopeParams {
  Heads q;
  Heads k;
  const float* freqs;
  const void* positions;
  std::int64_t table_rows;
};

/// Multiplies one pair by c + j*s, or by c - j*s if `kInverse` is true.
template <bool kInverse>
DSV4_DEVICE void rotate(__nv_bfloat16& re, __nv_bfloat16& im, float c, float s) {
  const float2 product = rotated<kInverse>(__bfloat162float(re), __bfloat162float(im), c, s);
  re = __float2bfloat16_rn(product.x);
  im = __float2bfloat16_rn(product.y);
}

/// Block (token, part) handles heads_per_step * kHeadsPerLane consecutive heads of that token. The first parts have
/// the heads of q, and the parts after them have the heads of k. A lane handles kPairs pairs of each of its
/// kHeadsPerLane heads.
template <typename Position, bool kInverse, int kPairs, bool kWide, int kHeadsPerLane>
__global__ void __launch_bounds__(kMaxThreads) fused_rope_kernel(const __grid_constant__ RopeParams p) {
  constexpr int kLanesPerHead = kRopeDim / 2 / kPairs;
  const int heads_per_step = static_cast<int>(blockDim.x) / kLanesPerHead;
  wait_for_previous_kernel();

  const std::int64_t token = blockIdx.x;
  const std::int64_t position = static_cast<const Position*>(p.positions)[token];
  if (position < 0 || position >= p.table_rows) return;
  const bool is_q = static_cast<int>(blockIdx.y) < p.q.blocks;
  const Heads heads = is_q ? p.q : p.k;
  const int part = static_cast<int>(blockIdx.y) - (is_q ? 0 : p.q.blocks);
  const int lane = static_cast<int>(threadIdx.x) % kLanesPerHead;
  const int first = part * (heads_per_step * kHeadsPerLane) + static_cast<int>(threadIdx.x) / kLanesPerHead;
  __nv_bfloat16* const column = heads.data + token * heads.token_stride + lane * (2 * kPairs);

  using Values = Pack<__nv_bfloat16, 2 * kPairs, kWide>;
  Pack<float, 2 * kPairs, kWide> angles;
  Values values[kHeadsPerLane];
  angles.load(p.freqs + position * kRopeDim + lane * (2 * kPairs));
#pragma unroll
  for (int i = 0; i < kHeadsPerLane; ++i) {
    const int head = first + i * heads_per_step;
    if (head < heads.count) values[i].load(column + head * heads.head_stride);
  }
#pragma unroll
  for (int i = 0; i < kHeadsPerLane; ++i) {
    const int head = first + i * heads_per_step;
    if (head >= heads.count) break;
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
      rotate<kInverse>(values[i].v[2 * pair], values[i].v[2 * pair + 1], angles.v[2 * pair], angles.v[2 * pair + 1]);
    }
    values[i].store(column + head * heads.head_stride);
  }
}

/// The kind of memory access that a call uses: the widest one that all its addresses and strides allow.
template <int kPairs_, bool kWide_>
struct Access {
  static constexpr int kPairs = kPairs_;
  static constexpr bool kWide = kWide_;
};

template <typename Position, bool kInverse, typename A, int kHeadsPerLane>
void launch_rope(RopeParams params, std::int64_t tokens, DLDevice device) {
  constexpr int kLanesPerHead = kRopeDim / 2 / A::kPairs;
  // The number of threads that the heads of a token can use, rounded up to whole warps.
  const int wanted = ceil_div(std::max(params.q.count, params.k.count), kHeadsPerLane) * kLanesPerHead;
  const int threads = std::min(kMaxThreads, ceil_div(wanted, 32) * 32);
  const int heads_per_block = threads / kLanesPerHead * kHeadsPerLane;
  params.q.blocks = ceil_div(params.q.count, heads_per_block);
  params.k.blocks = ceil_div(params.k.count, heads_per_block);
  dim3 grid = grid_of(tokens, "fused_rope");
  grid.y = static_cast<unsigned>(params.q.blocks + params.k.blocks);
  Launch{.name = "fused_rope", .device = device, .grid = grid, .block = dim3(threads)}(
      fused_rope_kernel<Position, kInverse, A::kPairs, A::kWide, kHeadsPerLane>, params);
}

template <typename Position, bool kInverse>
void choose_access(const RopeParams& params, std::int64_t tokens, DLDevice device, int element_multiple) {
  if (element_multiple == 8) {
    // For few tokens, one head per lane spreads the heads over more blocks. For many tokens, with two heads per lane,
    // each lane has more loads under way at the same time.
    const std::int64_t heads = params.q.count + params.k.count;
    if (tokens * ceil_div<std::int64_t>(heads, 64) < 4 * multiprocessor_count(device)) {
      launch_rope<Position, kInverse, Access<4, true>, 1>(params, tokens, device);
    } else {
      launch_rope<Position, kInverse, Access<4, true>, 2>(params, tokens, device);
    }
  } else if (element_multiple == 2) {
    launch_rope<Position, kInverse, Access<1, true>, 4>(params, tokens, device);
  } else {
    launch_rope<Position, kInverse, Access<1, false>, 4>(params, tokens, device);
  }
}

void forward(TensorView q, ::tvm::ffi::Optional<TensorView> k, TensorView freqs_cis, TensorView positions,
             bool inverse) {
  ArgumentCheck check("fused_rope");
  Size tokens("tokens"), q_heads("q heads"), k_heads("k heads"), table_rows("table rows");
  check.tensor("q", q).dtype({kBfloat16}).shape({tokens, q_heads, kRopeDim}).on_cuda().unit_stride().no_overlap();
  if (k.has_value()) {
    check.tensor("k", *k).dtype({kBfloat16}).shape({tokens, k_heads, kRopeDim}).on_cuda().unit_stride().no_overlap();
  }
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.tensor("positions", positions).dtype({kInt32, kInt64}).shape({tokens}).on_cuda().contiguous();

  const std::int64_t heads_of_both = q_heads.value() + std::max<std::int64_t>(k_heads.value(), 0);
  check.require(heads_of_both <= kMaxHeads, "q", "at most ", kMaxHeads,
                " heads of q and k together are supported, got ", heads_of_both);

  RopeParams params{};
  params.freqs = data_of<const float>(freqs_cis);
  params.positions = data_of<const void>(positions);
  params.table_rows = table_rows.value();
  int element_multiple = is_aligned(freqs_cis, 16) ? 8 : is_aligned(freqs_cis, 8) ? 2 : 1;
  const auto describe = [&](const TensorView& tensor) {
    Heads heads{};
    heads.data = data_of<__nv_bfloat16>(tensor);
    // The stride of a dimension of size 1 is never used and may have any value, so it is set to 0.
    heads.token_stride = tensor.size(0) > 1 ? stride_of(tensor, 0) : 0;
    heads.head_stride = tensor.size(1) > 1 ? stride_of(tensor, 1) : 0;
    heads.count = static_cast<int>(tensor.size(1));
    while (element_multiple > 1 &&
           (heads.token_stride % element_multiple != 0 || heads.head_stride % element_multiple != 0 ||
            !is_aligned(tensor, element_multiple * sizeof(__nv_bfloat16)))) {
      element_multiple = element_multiple == 8 ? 2 : 1;
    }
    return heads;
  };
  params.q = describe(q);
  if (k.has_value()) params.k = describe(*k);
  if (tokens.value() == 0 || params.q.count + params.k.count == 0) return;

  const bool wide_positions = same_dtype(positions.dtype(), kInt64);
  const auto launch = wide_positions
                          ? (inverse ? choose_access<std::int64_t, true> : choose_access<std::int64_t, false>)
                          : (inverse ? choose_access<std::int32_t, true> : choose_access<std::int32_t, false>);
  launch(params, tokens.value(), check.device(), element_multiple);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "fused_rope", "fused_rope/1", "");
