#include "harness/ops/attn/cache_geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "harness/core/error.h"

namespace dsv4 {

namespace {

/// The place of an E2M1 code in the order of the values.
std::int8_t e2m1_rank(int code) {
  constexpr std::int8_t kMinusZero = 99;
  if (code == 8) return kMinusZero;
  return static_cast<std::int8_t>((code & 8) != 0 ? -(code & 7) : code);
}

template <class Layout>
CacheLayout layout_of(const char* name, std::int64_t group, std::int64_t codes, DType code, std::int64_t data_bytes,
                      DType scale, std::int64_t scale_bytes) {
  return {name,
          Layout::kDim,
          group,
          codes,
          code,
          data_bytes,
          scale,
          scale_bytes,
          Layout::page_bytes,
          Layout::data_offset,
          Layout::scale_offset};
}

}  // namespace

const CacheLayout& cache_layout(const std::string& name) {
  using layout::FlashMlaCache, layout::IndexerCache, layout::Fp4IndexerCache;
  static const std::array kLayouts{
      layout_of<FlashMlaCache>("flashmla", FlashMlaCache::kGroup, FlashMlaCache::kQuantized, DType::kE4M3,
                               FlashMlaCache::kDataRow, DType::kU8, FlashMlaCache::kGroups),
      layout_of<IndexerCache>("indexer", IndexerCache::kDim, IndexerCache::kDim, DType::kE4M3, IndexerCache::kDim,
                              DType::kF32, IndexerCache::kScaleBytes),
      layout_of<Fp4IndexerCache>("indexer_fp4", Fp4IndexerCache::kGroup, Fp4IndexerCache::kDim, DType::kI8,
                                 Fp4IndexerCache::kDataRow, DType::kU8, Fp4IndexerCache::kGroups)};
  const auto* const found = std::ranges::find_if(kLayouts, [&](const CacheLayout& l) { return name == l.name; });
  if (found == kLayouts.end()) throw Error("no cache layout is called '" + name + "'");
  return *found;
}

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
  const std::int64_t tokens = indices.numel();
  if (const std::int64_t used = g.scales_at(g.page_size - 1) + g.scale_bytes(); tokens != 0 && cache.size(1) < used)
    throw TensorError(
        fmt::format("a page of {} slots needs {} bytes, but the cache is {}", g.page_size, used, cache.describe()));
  const bool fp4 = g.layout.code == DType::kI8;
  const std::int64_t code_bytes = fp4 ? g.layout.codes / 2 : g.layout.codes, tail_bytes = g.data_bytes() - code_bytes;
  HostTensor codes = HostTensor::make(g.layout.code, {tokens, g.layout.codes});
  HostTensor scales = HostTensor::make(g.layout.scale, {tokens, g.scale_bytes() / size_of(g.layout.scale)});
  HostTensor tail = HostTensor::make(DType::kBF16, {tokens, tail_bytes / 2});
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t slot = integer_at(indices, t);
    if (slot < 0 || slot >= cache.size(0) * g.page_size) continue;
    const std::uint8_t* data = cache.storage.data() + g.data_at(slot);
    for (std::int64_t d = 0; d < g.layout.codes; ++d) {
      std::uint8_t* const code = codes.storage.data() + t * g.layout.codes + d;
      *code = fp4 ? static_cast<std::uint8_t>(e2m1_rank(data[d / 2] >> (d % 2 == 0 ? 0 : 4) & 0xf)) : data[d];
    }
    std::copy_n(cache.storage.data() + g.scales_at(slot), g.scale_bytes(), scales.storage.data() + t * g.scale_bytes());
    std::copy_n(data + code_bytes, tail_bytes, tail.storage.data() + t * tail_bytes);  // the layout may have no tail
  }
  Observation o;
  o.add("codes", std::move(codes)).add("scales", std::move(scales));
  if (tail_bytes != 0) o.add("tail", std::move(tail));
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
