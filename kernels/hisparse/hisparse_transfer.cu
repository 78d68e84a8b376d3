/// hisparse_transfer: copies tokens from a paged C4 cache to another cache, in all layers.
///
///     transfer_cache_dsv4_mla(src_ptrs, dst_ptrs, src_indices, dst_indices)    the destination is paged
///     hisparse_transfer(src_ptrs, dst_ptrs, src_indices, dst_indices)          the destination is linear
///
/// | argument    | shape    | dtype  | |
/// |-------------|----------|--------|-|
/// | src_ptrs    | [layers] | uint64 | address of each layer's source cache, a multiple of 8 |
/// | dst_ptrs    | [layers] | uint64 | address of each layer's destination cache, a multiple of 8 |
/// | src_indices | [items]  | int64  | token that each item copies |
/// | dst_indices | [items]  | int64  | token that it becomes |
///
/// All tensors are contiguous and on the device. The caches are in memory that the device can access, such as pinned
/// host memory. A paged cache has pages of 64 tokens (FlashMlaCache in interface/kv_cache.h). A linear cache has no
/// pages (LinearCache). A token has 576 bytes of data and 8 bytes of scales.
///
/// The function does not know how large the caches are. An item with a negative index is not copied. Two items must not
/// have the same destination.
///
/// The bandwidth of the memory, or of the bus to the host, limits the kernel. A warp copies one token of one layer,
/// in words of 8 bytes. So all words of a token are on their way at the same time, and few layers suffice to fill
/// the device.

#include <algorithm>

#include "interface/entry.h"
#include "interface/kv_cache.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

using layout::FlashMlaCache;
using layout::LinearCache;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / static_cast<int>(kWarpLanes);
constexpr int kBlocksOfMultiprocessor = 8;
constexpr std::int64_t kPageSize = 64;
constexpr std::int64_t kPageBytes = FlashMlaCache::page_bytes(kPageSize);
constexpr std::int64_t kPageScales = FlashMlaCache::scale_offset(kPageSize, 0);  ///< offset of a page's first scale row
constexpr int kDataWords = FlashMlaCache::kDataRow / 8;
constexpr int kWords = kDataWords + FlashMlaCache::kScaleRow / 8;

struct TransferParams {
  const std::uint8_t* const* sources;
  std::uint8_t* const* targets;
  const std::int64_t* from;
  const std::int64_t* to;
  std::int64_t items;
  std::int64_t layers;
};

/// Offset of word `word` of token `index`, in bytes. The words of the scales come after those of the data.
template <bool kPaged>
DSV4_DEVICE std::int64_t offset_of(std::int64_t index, int word) {
  if constexpr (!kPaged) return index * LinearCache::kItem + 8 * word;
  const std::int64_t page = index / kPageSize * kPageBytes, row = index % kPageSize;
  return page + (word < kDataWords ? row * FlashMlaCache::kDataRow + 8 * word
                                   : kPageScales + row * FlashMlaCache::kScaleRow + 8 * (word - kDataWords));
}

template <bool kPaged>
__global__ void __launch_bounds__(kThreads) transfer_kernel(const __grid_constant__ TransferParams p) {
  wait_for_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * kWarps;
  for (std::int64_t copy = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpLanes;
       copy < p.items * p.layers; copy += warps) {
    const std::int64_t item = copy / p.layers, layer = copy % p.layers;
    const std::int64_t from = p.from[item], to = p.to[item];
    if (from < 0 || to < 0) continue;
    const std::uint8_t* const source = p.sources[layer];
    std::uint8_t* const target = p.targets[layer];
    Pack<std::uint8_t, 8, true> words[ceil_div(kWords, static_cast<int>(kWarpLanes))];
    // All loads come before the first store, so that the warp waits for the memory only once.
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof words / sizeof words[0]); ++i) {
      const int word = i * static_cast<int>(kWarpLanes) + lane;
      if (word < kWords) words[i].load(source + offset_of<true>(from, word));
    }
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof words / sizeof words[0]); ++i) {
      const int word = i * static_cast<int>(kWarpLanes) + lane;
      if (word < kWords) words[i].store(target + offset_of<kPaged>(to, word));
    }
  }
}

template <bool kPaged>
void transfer(TensorView src_ptrs, TensorView dst_ptrs, TensorView src_indices, TensorView dst_indices) {
  ArgumentCheck check("hisparse_transfer");
  Size layers("layers"), items("items");
  check.tensor("src_ptrs", src_ptrs).dtype({kUint64}).shape({layers}).on_cuda().contiguous();
  check.tensor("dst_ptrs", dst_ptrs).dtype({kUint64}).shape({layers}).on_cuda().contiguous();
  check.tensor("src_indices", src_indices).dtype({kInt64}).shape({items}).on_cuda().contiguous();
  check.tensor("dst_indices", dst_indices).dtype({kInt64}).shape({items}).on_cuda().contiguous();
  if (items.value() == 0 || layers.value() == 0) return;
  const TransferParams params{.sources = data_of<const std::uint8_t* const>(src_ptrs),
                              .targets = data_of<std::uint8_t* const>(dst_ptrs),
                              .from = data_of<const std::int64_t>(src_indices),
                              .to = data_of<const std::int64_t>(dst_indices),
                              .items = items.value(),
                              .layers = layers.value()};
  const std::int64_t most = std::int64_t{multiprocessor_count(check.device())} * kBlocksOfMultiprocessor;
  const std::int64_t blocks = std::min(ceil_div<std::int64_t>(params.items * params.layers, kWarps), most);
  Launch{.name = "hisparse_transfer",
         .device = check.device(),
         .grid = grid_of(blocks, "hisparse_transfer"),
         .block = dim3(kThreads)}(transfer_kernel<kPaged>, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(transfer_cache_dsv4_mla, dsv4::transfer<true>, "hisparse_transfer", "hisparse_transfer/1",
           "destination=paged");
DSV4_ENTRY(hisparse_transfer, dsv4::transfer<false>, "hisparse_transfer", "hisparse_transfer/1", "destination=linear");
