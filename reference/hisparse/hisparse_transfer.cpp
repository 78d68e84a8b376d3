/// Reference of hisparse_transfer: copies tokens between C4 caches, in all layers.
#include <bit>
#include <cstdint>
#include <cstring>

#include "interface/entry.h"
#include "interface/kv_cache.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "hisparse_transfer";
/// Tokens of a page of a C4 cache (sglang 0.5.13, jit_kernel/include/sgl_kernel/deepseek_v4/kvcacheio.cuh:15).
constexpr std::int64_t kPageSize = 64;

using layout::FlashMlaCache;
using layout::LinearCache;

/// The two parts of a token in a cache.
struct Item {
  std::uint8_t* data;
  std::uint8_t* scale;
};

using Place = Item (*)(std::uint8_t* cache, std::int64_t index);

Item paged(std::uint8_t* cache, std::int64_t index) {
  std::uint8_t* const page = cache + index / kPageSize * FlashMlaCache::page_bytes(kPageSize);
  const std::int64_t row = index % kPageSize;
  return {page + FlashMlaCache::data_offset(row), page + FlashMlaCache::scale_offset(kPageSize, row)};
}

Item linear(std::uint8_t* cache, std::int64_t index) {
  std::uint8_t* const item = cache + index * LinearCache::kItem;
  return {item, item + FlashMlaCache::kDataRow};
}

/// Copies token src_indices[i] of the paged cache src_ptrs[l] to token dst_indices[i] of the cache dst_ptrs[l], for
/// each i and each layer l: 576 bytes of data and 8 bytes of scales. Nothing else is written. Two items must not have
/// the same destination, and the caches must not overlap.
///
/// The function knows the addresses of the caches but not their sizes. An item with a negative index is not copied.
void transfer(TensorView src_ptrs, TensorView dst_ptrs, TensorView src_indices, TensorView dst_indices, Place place) {
  const View<const std::uint64_t, 1> sources(kOp, "src_ptrs", src_ptrs), targets(kOp, "dst_ptrs", dst_ptrs);
  const View<const std::int64_t, 1> from(kOp, "src_indices", src_indices), to(kOp, "dst_indices", dst_indices);
  sources.expect_contiguous();
  targets.expect_contiguous().expect_size(0, sources.size(0));
  from.expect_contiguous();
  to.expect_contiguous().expect_size(0, from.size(0));
  for (std::int64_t i = 0; i < from.size(0); ++i) {
    if (from(i) < 0 || to(i) < 0) continue;
    for (std::int64_t layer = 0; layer < sources.size(0); ++layer) {
      const Item source = paged(std::bit_cast<std::uint8_t*>(sources(layer)), from(i));
      const Item target = place(std::bit_cast<std::uint8_t*>(targets(layer)), to(i));
      std::memcpy(target.data, source.data, FlashMlaCache::kDataRow);
      std::memcpy(target.scale, source.scale, FlashMlaCache::kScaleRow);
    }
  }
}

/// transfer_cache_dsv4_mla: both caches are paged.
void transfer_cache_dsv4_mla(TensorView src_ptrs, TensorView dst_ptrs, TensorView src_indices, TensorView dst_indices) {
  transfer(src_ptrs, dst_ptrs, src_indices, dst_indices, paged);
}

/// hisparse_transfer: the destination is linear.
void hisparse_transfer(TensorView src_ptrs, TensorView dst_ptrs, TensorView src_indices, TensorView dst_indices) {
  transfer(src_ptrs, dst_ptrs, src_indices, dst_indices, linear);
}

}  // namespace
}  // namespace dsv4::reference

DSV4_ENTRY(transfer_cache_dsv4_mla, dsv4::reference::transfer_cache_dsv4_mla, "hisparse_transfer",
           "hisparse_transfer/1", "destination=paged");
DSV4_ENTRY(hisparse_transfer, dsv4::reference::hisparse_transfer, "hisparse_transfer", "hisparse_transfer/1",
           "destination=linear");
