#include "harness/ops/attn/cache_geometry.h"

#include <algorithm>

#include "harness/generate/random.h"

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

}  // namespace dsv4
