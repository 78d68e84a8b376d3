/// k_norm_rope_flashmla: normalises the key of each token by its root mean square, multiplies it by a weight, rotates
/// its last 64 elements, and stores it in a slot of the paged attention cache.
///
///     forward_p<P>(kv, kv_weight, freqs_cis, positions, out_loc, kvcache, eps)      P = 1, 64, 256
///
/// | argument  | shape          | dtype          | |
/// |-----------|----------------|----------------|-|
/// | kv        | [T, 512]       | bfloat16       | unit stride in the last dimension, any other stride |
/// | kv_weight | [512]          | bfloat16       | contiguous |
/// | freqs_cis | [M, 64]        | float32        | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | positions | [T]            | int32 or int64 | contiguous; row of freqs_cis for each token |
/// | out_loc   | [T]            | int32          | contiguous; slot of each token |
/// | kvcache   | [pages, bytes] | uint8          | flashmla pages of P slots (paged_cache.cuh), in place |
/// | eps       | number         |                | rounded to float32 |
///
/// y = (x * f) * w with f = rsqrt(sum(x^2) / 512 + eps), in float32. Dims 0..447 of y are quantised in groups of 64, as
/// in fused_store_cache. Dims 448 + 2i and 449 + 2i are rotated as in rotation.cuh and rounded to bfloat16. They are
/// not rounded before.
///
/// Positions and slots are on the device, so the host cannot check them. A token whose position is outside [0, M) is
/// stored without a rotation. A token whose slot is negative or beyond the last page is skipped. If two tokens have the
/// same slot, their writes race. If T = 0, no kernel is launched.
///
/// One warp handles a token, so the key stays in registers between its only load and its only store. Lane l holds dims
/// 8l..8l+7 of each half of the key. So eight neighbouring lanes hold a group of 64 dims, and the last eight lanes of
/// the second half hold the rotated dims. If a stride or an address is not a multiple of the access size, elements are
/// read and written one by one.

#include "interface/entry.h"
#include "kernels/attn/paged_cache.cuh"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/row_norm.cuh"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kDim = 512;
constexpr int kTiles = kDim / kPerTile;

struct KeyParams {
  const __nv_bfloat16* kv;
  const __nv_bfloat16* weight;
  const float* freqs;
  const void* positions;
  const std::int32_t* out_loc;
  PagedCache cache;
  std::int64_t tokens;
  std::int64_t kv_stride;  ///< in elements
  std::int64_t table_rows;
  float eps;
};

template <typename Position, bool kWide>
__global__ void __launch_bounds__(kThreads) k_norm_rope_flashmla_kernel(const __grid_constant__ KeyParams p) {
  wait_for_previous_kernel();
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (token >= p.tokens) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  WarpRow<kTiles, kWide> key, weight;
  key.load(p.kv + token * p.kv_stride + lane * kPerLane);
  weight.load(p.weight + lane * kPerLane);
  // Of all loads, only that of the angles waits for another one. It is issued before the reduction, and before the test
  // of the slot.
  const std::int32_t index = p.out_loc[token];
  const std::int64_t position = static_cast<const Position*>(p.positions)[token];
  LaneAngles<kWide> angles;
  angles.load(p.freqs, p.table_rows, position, lane);
  const Slot slot = p.cache.slot(index);
  if (slot.page == nullptr) return;  // all lanes of the warp agree

  const float factor = key.factor(p.eps);
  const FlashmlaSlot stored = flashmla_slot(p.cache, slot);
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    Pack<float, kPerLane, kWide> y;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      y.v[i] = __fmul_rn(__fmul_rn(__bfloat162float(key.tile[t].v[i]), factor), __bfloat162float(weight.tile[t].v[i]));
    }
    const float amax = lanes_max<8>(max_magnitude(y));  // the rotated dims ignore it
    if (t == kTiles - 1) angles.rotate(y);
    store_flashmla_dims(stored, t * kPerTile + lane * kPerLane, y, amax);
  }
}

template <int kPage>
void forward(TensorView kv, TensorView kv_weight, TensorView freqs_cis, TensorView positions, TensorView out_loc,
             TensorView kvcache, double eps) {
  ArgumentCheck check("k_norm_rope_flashmla");
  Size tokens("tokens"), table_rows("table rows");
  check.tensor("kv", kv).dtype({kBfloat16}).shape({tokens, kDim}).on_cuda().unit_stride();
  check.tensor("kv_weight", kv_weight).dtype({kBfloat16}).shape({kDim}).on_cuda().contiguous();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.tensor("positions", positions).dtype({kInt32, kInt64}).shape({tokens}).on_cuda().contiguous();
  check.tensor("out_loc", out_loc).dtype({kInt32}).shape({tokens}).on_cuda().contiguous();
  const PagedCache cache = checked_flashmla_cache(check, "kvcache", kvcache, kPage);
  if (tokens.value() == 0) return;

  const KeyParams params{
      .kv = data_of<const __nv_bfloat16>(kv),
      .weight = data_of<const __nv_bfloat16>(kv_weight),
      .freqs = data_of<const float>(freqs_cis),
      .positions = data_of<const void>(positions),
      .out_loc = data_of<const std::int32_t>(out_loc),
      .cache = cache,
      .tokens = tokens.value(),
      .kv_stride = stride_of(kv, 0),
      .table_rows = table_rows.value(),
      .eps = static_cast<float>(eps),
  };
  const bool wide = is_aligned(kv, 16) && (tokens.value() == 1 || params.kv_stride % kPerLane == 0) &&
                    is_aligned(kv_weight, 16) && is_aligned(freqs_cis, 16) && is_aligned(kvcache, 16) &&
                    cache.page_bytes % 16 == 0;
  const bool is_i32 = same_dtype(positions.dtype(), kInt32);
  const auto kernel =
      is_i32
          ? (wide ? k_norm_rope_flashmla_kernel<std::int32_t, true> : k_norm_rope_flashmla_kernel<std::int32_t, false>)
          : (wide ? k_norm_rope_flashmla_kernel<std::int64_t, true> : k_norm_rope_flashmla_kernel<std::int64_t, false>);
  const dim3 grid = grid_of(ceil_div<std::int64_t>(tokens.value(), kWarps), "k_norm_rope_flashmla");
  Launch{.name = "k_norm_rope_flashmla", .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel,
                                                                                                          params);
}

}  // namespace
}  // namespace dsv4

#define DSV4_K_NORM_ROPE(PAGE)                                                                       \
  DSV4_ENTRY(forward_p##PAGE, dsv4::forward<PAGE>, "k_norm_rope_flashmla", "k_norm_rope_flashmla/1", \
             "layout=flashmla;page=" #PAGE)

DSV4_K_NORM_ROPE(1);
DSV4_K_NORM_ROPE(64);
DSV4_K_NORM_ROPE(256);
