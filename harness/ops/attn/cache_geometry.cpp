#include "harness/ops/attn/cache_geometry.h"

#include <algorithm>
#include <cstring>

namespace dsv4 {

std::int64_t slot_of(const HostTensor& indices, std::int64_t t) {
  return indices.dtype == DType::kI64 ? indices.at<std::int64_t>(t) : indices.at<std::int32_t>(t);
}

HostTensor index_tensor(DType dtype, const std::vector<std::int64_t>& slots) {
  HostTensor out = HostTensor::make(dtype, {std::ssize(slots)});
  for (std::size_t t = 0; t < slots.size(); ++t) {
    std::memcpy(out.element(static_cast<std::int64_t>(t)), &slots[t], static_cast<std::size_t>(size_of(dtype)));
  }
  return out;
}

std::vector<std::uint8_t> footprint(const CacheGeometry& g, const HostTensor& cache, const HostTensor& indices) {
  std::vector<std::uint8_t> may(cache.storage.size(), 0);
  for (std::int64_t t = 0; t < indices.numel(); ++t) {
    const std::int64_t slot = slot_of(indices, t);
    if (slot < 0 || slot >= cache.size(0) * g.page_size) continue;
    std::fill_n(may.begin() + g.data_at(slot), g.data_bytes(), 1);
    std::fill_n(may.begin() + g.scales_at(slot), g.scale_bytes(), 1);
  }
  return may;
}

}  // namespace dsv4
