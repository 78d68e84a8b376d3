/// The slots of a paged cache, for ops that store into a cache: which slots a case uses, and where their bytes are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/call/output.h"
#include "harness/case/params.h"
#include "harness/core/tensor.h"
#include "harness/generate/random.h"
#include "interface/kv_cache.h"

namespace dsv4 {

/// The cache layout and its page size, from the parameters `layout` and `page`.
struct CacheGeometry {
  bool flashmla;
  std::int64_t page_size;
  std::int64_t page_stride;  ///< bytes from a page to the next page

  explicit CacheGeometry(const Params& p)
      : flashmla(p.is("layout", "flashmla")), page_size(p.integer("page")), page_stride(page_bytes()) {}
  /// The geometry of a cache whose pages may be wider than their slots need.
  CacheGeometry(const Params& p, const HostTensor& cache) : CacheGeometry(p) { page_stride = cache.strides[0]; }

  [[nodiscard]] std::int64_t dim() const { return flashmla ? layout::FlashMlaCache::kDim : layout::IndexerCache::kDim; }
  [[nodiscard]] std::int64_t group() const {
    return flashmla ? layout::FlashMlaCache::kGroup : layout::IndexerCache::kDim;
  }
  [[nodiscard]] std::int64_t page_bytes() const {
    return flashmla ? layout::FlashMlaCache::page_bytes(page_size) : layout::IndexerCache::page_bytes(page_size);
  }
  [[nodiscard]] std::int64_t data_bytes() const {
    return flashmla ? layout::FlashMlaCache::kDataRow : layout::IndexerCache::kDim;
  }
  [[nodiscard]] std::int64_t codes() const {
    return flashmla ? layout::FlashMlaCache::kQuantized : layout::IndexerCache::kDim;
  }
  [[nodiscard]] std::int64_t scale_bytes() const {
    return flashmla ? layout::FlashMlaCache::kGroups : layout::IndexerCache::kScaleBytes;
  }
  /// Byte offsets of a slot's data and scales from the start of the cache.
  [[nodiscard]] std::int64_t data_at(std::int64_t slot) const {
    const std::int64_t row = slot % page_size;
    return slot / page_size * page_stride +
           (flashmla ? layout::FlashMlaCache::data_offset(row) : layout::IndexerCache::data_offset(row));
  }
  [[nodiscard]] std::int64_t scales_at(std::int64_t slot) const {
    const std::int64_t row = slot % page_size;
    return slot / page_size * page_stride + (flashmla ? layout::FlashMlaCache::scale_offset(page_size, row)
                                                      : layout::IndexerCache::scale_offset(page_size, row));
  }
};

/// The footprint of a store to these slots. A slot outside the cache does not add bytes to it.
std::vector<std::uint8_t> footprint(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices);

/// The contents of each token's slot, in token order, as outputs: "codes", "scales" (exponent bytes, or one float) and,
/// for FlashMLA, "tail": the dims that are stored as bfloat16. A slot outside the cache gives zeros.
Observation stored_rows(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices);

/// The values of the parameter `order`. With "edges", the first slots are the first and last slots of pages.
const std::vector<std::string>& slot_orders();
/// Different slots for `tokens` tokens, below `capacity`, from the parameters `tokens`, `page` and `order`.
std::vector<std::int64_t> slots_of(const Params& p, std::int64_t capacity, Random& random);

}  // namespace dsv4
