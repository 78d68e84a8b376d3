/// fused_store_cache: quantises rows and stores each of them in a slot of a paged cache.
///
///     flashmla_p<P>(input, cache, indices)      indexer_p<P>(input, cache, indices)      P = 1, 2, 4, ..., 256
///
/// | argument | shape            | dtype               | |
/// |----------|------------------|---------------------|-|
/// | input    | [T, 512 or 128]  | bfloat16 or float32 | contiguous; 512 for flashmla, 128 for indexer |
/// | cache    | [pages, bytes]   | uint8               | stride (page_bytes, 1), in place; page_bytes as below, or any
/// stride of at least the slots' bytes | | indices  | [T]              | int32 or int64      | contiguous; slot of each
/// row |
///
/// Slot s is row o = s mod P of page s / P. A page has these bytes, at these offsets in the page:
///
/// | | flashmla, page_bytes = ceil(584 P / 576) * 576          | indexer, page_bytes = 132 P |
/// |-|---------------------------------------------------------|-----------------------------|
/// | o * 576       | 448 E4M3 codes of dims 0..447             | o * 128: 128 E4M3 codes |
/// | o * 576 + 448 | dims 448..511 as bfloat16                 | 128 P + 4 o: scale, float32 |
/// | 576 P + 8 o   | 7 UE8M0 scale bytes, one per 64 dims      | |
///
/// - flashmla: byte_g = UE8M0(max(1e-4, amax_g) / 448), code = E4M3(x * 2^(127 - byte_g)). amax_g is the largest
///   magnitude in group g of 64 dims. UE8M0(x) is the biased exponent of the smallest power of two >= x.
/// - indexer: scale = max(1e-4, amax) / 448, code = E4M3(x * (1 / scale)). amax is the largest magnitude in the row.
///
/// A maximum ignores NaN. Every float32 operation rounds once, so all stored bytes are specified. The kernel does not
/// write byte 7 of a scale row, the padding at the end of a page, or a slot that no index names.
///
/// Indices are on the device, so the host cannot check them. The kernel skips a row whose index is negative or beyond
/// the last page. If two rows have the same index, their writes race. If T = 0, no kernel is launched.
///
/// One warp handles a row, so the maxima of the row's groups stay in registers. The warp reads the row in accesses of
/// up to 16 bytes. If there are few flashmla rows, a whole block handles each row. The page size is passed as a shift,
/// so one kernel handles all page sizes. If an address is not a multiple of the access size, elements are read and
/// written one by one.

#include <bit>

#include "interface/entry.h"
#include "kernels/attn/paged_cache.cuh"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

/// If there are at most this many flashmla rows, each row gets its own block, with two dims per thread.
constexpr std::int64_t kFewRows = 512;
constexpr int kRowThreads = 256;

struct StoreParams {
  const void* input;
  PagedCache cache;
  const void* indices;
  std::int64_t rows;
};

template <typename Index>
DSV4_DEVICE Slot slot_of(const StoreParams& p, std::int64_t row) {
  return p.cache.slot(static_cast<const Index*>(p.indices)[row]);
}

// The kernels compute the maximum over the threads (a reduction) before they read the slot index. Then the row load and
// the index load overlap. The compiler does not move a reduction. So with the reduction after the slot lookup, the row
// load would wait for the index.

/// Used for many rows of 512 dims. One warp handles a row. Lane l holds dims 8l..8l+7 of each half of the row, so
/// eight neighbouring lanes hold a group of 64 dims. In the second half, lanes 24..31 hold the 64 dims that are stored
/// as bfloat16.
template <typename Element, typename Index, bool kWide>
__global__ void __launch_bounds__(kThreads) store_flashmla_kernel(const __grid_constant__ StoreParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= p.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  Pack<Element, 8, kWide> x[2];
  float amax[2];
  const Element* const input = static_cast<const Element*>(p.input) + row * 512 + lane * 8;
#pragma unroll
  for (int half = 0; half < 2; ++half) x[half].load(input + half * 256);
#pragma unroll
  for (int half = 0; half < 2; ++half) amax[half] = lanes_max<8>(max_magnitude(x[half]));
  const Slot slot = slot_of<Index>(p, row);
  if (slot.page == nullptr) return;  // all lanes of the warp agree
  const FlashmlaSlot stored = flashmla_slot(p.cache, slot);
#pragma unroll
  for (int half = 0; half < 2; ++half) store_flashmla_dims(stored, half * 256 + lane * 8, x[half], amax[half]);
}

/// Used for few rows of 512 dims, as in a decode step. So few rows do not fill the device, and the number of
/// instructions that one thread executes determines the time. Therefore one block handles a row, one warp handles a
/// group of 64 dims, and each lane holds only two neighbouring dims.
template <typename Element, typename Index, bool kWide>
__global__ void __launch_bounds__(kRowThreads) store_flashmla_few_kernel(const __grid_constant__ StoreParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = blockIdx.x;
  const int dim = static_cast<int>(threadIdx.x) * 2;

  Pack<Element, 2, kWide> x;
  x.load(static_cast<const Element*>(p.input) + row * 512 + dim);
  const float amax = warp_max_magnitude(max_magnitude(x));  // the last warp ignores it, but its load then starts early
  const Slot slot = slot_of<Index>(p, row);
  if (slot.page == nullptr) return;  // all threads of the block agree
  const auto [data, scales] = flashmla_slot(p.cache, slot);

  if (dim < kQuantisedDims) {  // all lanes of the warp agree
    const std::uint32_t byte = ue8m0_byte_of_amax(max_number(kMinAmax, amax));
    store_bytes<kWide>(data + dim, codes_of(x, ue8m0_inverse(byte)));
    if (threadIdx.x % 32 == 0) scales[dim / 64] = static_cast<std::uint8_t>(byte);
  } else {
    const Pack<std::uint32_t, 1, kWide> tail{{bf16_pair(x.v[0], x.v[1])}};
    store_bytes<kWide>(data + kQuantisedDims + (dim - kQuantisedDims) * 2, tail);
  }
}

/// Used for rows of 128 dims. One warp handles a row, and lane l holds dims 4l..4l+3.
template <typename Element, typename Index, bool kWide>
__global__ void __launch_bounds__(kThreads) store_indexer_kernel(const __grid_constant__ StoreParams p) {
  wait_for_previous_kernel();
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= p.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  Pack<Element, 4, kWide> x;
  x.load(static_cast<const Element*>(p.input) + row * 128 + lane * 4);
  const float amax = warp_max_magnitude(max_magnitude(x));
  const Slot slot = slot_of<Index>(p, row);
  if (slot.page == nullptr) return;
  const float scale = __fdiv_rn(max_number(kMinAmax, amax), kE4m3Max);
  store_bytes<kWide>(slot.page + slot.place * 128 + lane * 4, codes_of(x, __frcp_rn(scale)));
  if (lane == 0) {
    Pack<float, 1, kWide> stored{{scale}};
    store_bytes<kWide>(slot.page + (std::int64_t{128} << p.cache.page_bits) + slot.place * 4, stored);
  }
}

using Kernel = void (*)(StoreParams);

template <bool kFlashmla, typename Element, typename Index, bool kWide>
Kernel kernel_for(bool few) {
  if constexpr (kFlashmla) {
    return few ? store_flashmla_few_kernel<Element, Index, kWide> : store_flashmla_kernel<Element, Index, kWide>;
  } else {
    return store_indexer_kernel<Element, Index, kWide>;
  }
}

template <bool kFlashmla, typename Element, typename Index>
Kernel kernel_for(bool wide, bool few) {
  return wide ? kernel_for<kFlashmla, Element, Index, true>(few) : kernel_for<kFlashmla, Element, Index, false>(few);
}

template <bool kFlashmla, int kPage>
void store(TensorView input, TensorView cache, TensorView indices) {
  static_assert(std::has_single_bit(static_cast<unsigned>(kPage)));
  constexpr int kWidth = kFlashmla ? 512 : 128;
  ArgumentCheck check("fused_store_cache");
  Size rows("rows");
  check.tensor("input", input).dtype({kBfloat16, kFloat32}).shape({rows, kWidth}).on_cuda().contiguous();
  const PagedCache pages = kFlashmla ? checked_flashmla_cache(check, "cache", cache, kPage)
                                     : checked_cache(check, "cache", cache, kPage, 132, 132 * kPage);
  check.tensor("indices", indices).dtype({kInt32, kInt64}).shape({rows}).on_cuda().contiguous();
  if (rows.value() == 0) return;

  const StoreParams params{
      .input = data_of<const void>(input),
      .cache = pages,
      .indices = data_of<const void>(indices),
      .rows = rows.value(),
  };
  // The widest access to a page has 16 bytes for a flashmla row and 4 bytes for an indexer row. In a flashmla page, all
  // offsets are multiples of 8. The offsets of data rows, which have the 16-byte accesses, are multiples of 16.
  constexpr int kAccess = kFlashmla ? 16 : 4;
  const bool wide = is_aligned(input, 16) && is_aligned(cache, kAccess) && pages.page_bytes % kAccess == 0;
  const bool few = kFlashmla && params.rows <= kFewRows;
  const bool is_bf16 = same_dtype(input.dtype(), kBfloat16);
  const bool is_i32 = same_dtype(indices.dtype(), kInt32);
  const Kernel kernel = is_bf16 ? (is_i32 ? kernel_for<kFlashmla, __nv_bfloat16, std::int32_t>(wide, few)
                                          : kernel_for<kFlashmla, __nv_bfloat16, std::int64_t>(wide, few))
                                : (is_i32 ? kernel_for<kFlashmla, float, std::int32_t>(wide, few)
                                          : kernel_for<kFlashmla, float, std::int64_t>(wide, few));
  const dim3 grid = grid_of(few ? params.rows : ceil_div<std::int64_t>(params.rows, kWarps), "fused_store_cache");
  const dim3 block(few ? kRowThreads : kThreads);
  Launch{.name = "fused_store_cache", .device = check.device(), .grid = grid, .block = block}(kernel, params);
}

constexpr bool kFlashmla = true;
constexpr bool kIndexer = false;

}  // namespace
}  // namespace dsv4

/// One function for each layout and page size. Each function selects the kernel by the dtypes of input and indices.
#define DSV4_STORE(PAGE)                                                                                         \
  DSV4_ENTRY(flashmla_p##PAGE, (dsv4::store<dsv4::kFlashmla, PAGE>), "fused_store_cache", "fused_store_cache/1", \
             "layout=flashmla;page=" #PAGE);                                                                     \
  DSV4_ENTRY(indexer_p##PAGE, (dsv4::store<dsv4::kIndexer, PAGE>), "fused_store_cache", "fused_store_cache/1",   \
             "layout=indexer;page=" #PAGE)

DSV4_STORE(1);
DSV4_STORE(2);
DSV4_STORE(4);
DSV4_STORE(8);
DSV4_STORE(16);
DSV4_STORE(32);
DSV4_STORE(64);
DSV4_STORE(128);
DSV4_STORE(256);
