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

/// A layout of a cache, from its description in interface/kv_cache.h.
struct CacheLayout {
  const char* name;  ///< the value of the parameter `layout`
  std::int64_t dim;
  std::int64_t group;       ///< elements with a common scale
  std::int64_t codes;       ///< quantised elements
  DType code;               ///< kE4M3, or kI8 for E2M1 codes, two in a byte
  std::int64_t data_bytes;  ///< bytes of the codes and of the dims that are stored as bfloat16
  DType scale;
  std::int64_t scale_bytes;
  std::int64_t (*page_bytes)(std::int64_t page_size);
  std::int64_t (*data_offset)(std::int64_t row);
  std::int64_t (*scale_offset)(std::int64_t page_size, std::int64_t row);
};

/// The layout of this name. Throws Error if there is none.
const CacheLayout& cache_layout(const std::string& name);

/// The cache layout and its page size, from the parameters `layout` and `page`.
struct CacheGeometry {
  const CacheLayout& layout;
  std::int64_t page_size;
  std::int64_t page_stride;  ///< bytes from a page to the next page

  explicit CacheGeometry(const Params& p)
      : layout(cache_layout(p.text("layout"))), page_size(p.integer("page")), page_stride(page_bytes()) {}
  /// The geometry of a cache whose pages may be wider than their slots need.
  CacheGeometry(const Params& p, const HostTensor& cache) : CacheGeometry(p) { page_stride = cache.strides[0]; }

  [[nodiscard]] std::int64_t dim() const { return layout.dim; }
  [[nodiscard]] std::int64_t group() const { return layout.group; }
  [[nodiscard]] std::int64_t page_bytes() const { return layout.page_bytes(page_size); }
  [[nodiscard]] std::int64_t data_bytes() const { return layout.data_bytes; }
  [[nodiscard]] std::int64_t scale_bytes() const { return layout.scale_bytes; }
  /// Byte offsets of a slot's data and scales from the start of the cache.
  [[nodiscard]] std::int64_t data_at(std::int64_t slot) const {
    return slot / page_size * page_stride + layout.data_offset(slot % page_size);
  }
  [[nodiscard]] std::int64_t scales_at(std::int64_t slot) const {
    return slot / page_size * page_stride + layout.scale_offset(page_size, slot % page_size);
  }
};

/// The footprint of a store to these slots. A slot outside the cache does not add bytes to it.
std::vector<std::uint8_t> footprint(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices);

/// The contents of each token's slot, in token order, as outputs: "codes", "scales" (exponent bytes, or one float) and,
/// for FlashMLA, "tail": the dims that are stored as bfloat16. A slot outside the cache gives zeros. Throws
/// TensorError if the pages of the cache are too small for the geometry. E2M1 codes are the
/// numbers -7 ... 7, in the order of their values; 99 stands for the code of -0.
Observation stored_rows(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices);

/// The values of the parameter `order`. With "edges", the first slots are the first and last slots of pages.
const std::vector<std::string>& slot_orders();
/// Different slots for `tokens` tokens, below `capacity`, from the parameters `tokens`, `page` and `order`.
std::vector<std::int64_t> slots_of(const Params& p, std::int64_t capacity, Random& random);

}  // namespace dsv4
