#include "harness/ops/attn/cache_geometry.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

namespace dsv4 {

std::vector<std::uint8_t> footprint(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices) {
  std::vector<std::uint8_t> may(cache.storage.size(), 0);
  for (std::int64_t t = 0; t < indices.numel(); ++t) {
    const std::int64_t slot = integer_at(indices, t);
    if (slot < 0 || slot >= cache.size(0) * g.page_size) continue;
    std::fill_n(may.begin() + g.data_at(slot), g.data_bytes(), 1);
    std::fill_n(may.begin() + g.scales_at(slot), g.scale_bytes(), 1);
  }
  return may;
}

Observation stored_rows(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices) {
  using layout::FlashMlaCache;
  const std::int64_t tokens = indices.numel();
  HostTensor codes = HostTensor::make(DType::kE4M3, {tokens, g.codes()});
  HostTensor scales = g.flashmla ? HostTensor::make(DType::kU8, {tokens, FlashMlaCache::kGroups})
                                 : HostTensor::make(DType::kF32, {tokens, 1});
  HostTensor tail = HostTensor::make(DType::kBF16, {tokens, FlashMlaCache::kDim - FlashMlaCache::kQuantized});
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t slot = integer_at(indices, t);
    if (slot < 0 || slot >= cache.size(0) * g.page_size) continue;
    const std::uint8_t* data = cache.storage.data() + g.data_at(slot);
    std::memcpy(codes.element(t * g.codes()), data, static_cast<std::size_t>(g.codes()));
    std::memcpy(scales.storage.data() + t * g.scale_bytes(), cache.storage.data() + g.scales_at(slot),
                static_cast<std::size_t>(g.scale_bytes()));
    if (g.flashmla) {
      const std::int64_t bytes = g.data_bytes() - g.codes();
      std::memcpy(tail.storage.data() + t * bytes, data + g.codes(), static_cast<std::size_t>(bytes));
    }
  }
  Observation o;
  o.add("codes", std::move(codes)).add("scales", std::move(scales));
  if (g.flashmla) o.add("tail", std::move(tail));
  return o;
}

const std::vector<std::string>& slot_orders() {
  static const std::vector<std::string> kOrders{"random", "ascending", "descending", "edges"};
  return kOrders;
}

std::vector<std::int64_t> slots_of(const Params& p, std::int64_t capacity, Random& random) {
  const std::int64_t tokens = p.integer("tokens"), page = p.integer("page");
  std::vector<std::int64_t> slots = random.permutation(capacity);
  if (p.is("order", "edges")) {
    // Begin with the first and last slots of pages.
    for (const std::int64_t slot : {capacity - 1, page, page - 1, std::int64_t{0}}) {
      const auto at = std::ranges::find(slots, slot);
      if (at != slots.end()) std::rotate(slots.begin(), at, at + 1);
    }
  }
  slots.resize(static_cast<std::size_t>(tokens));
  if (p.is("order", "ascending")) std::ranges::sort(slots);
  if (p.is("order", "descending")) std::ranges::sort(slots, std::greater<>());
  return slots;
}

}  // namespace dsv4
