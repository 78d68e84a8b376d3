#include "simt/trigger.h"

#include <algorithm>
#include <cstring>

namespace simt {

void TriggerWatch::add(unsigned char* address, std::size_t bytes) {
  if (bytes == 0) return;
  regions_.push_back({.address = address,
                      .at_trigger = std::vector<unsigned char>(bytes),
                      .late = std::vector<unsigned char>(bytes),
                      .before = {}});
}

void TriggerWatch::clear() {
  regions_.clear();
  late_writes_.clear();
}

void TriggerWatch::begin_launch(bool dependent) {
  predecessor_ended_ = !dependent;
  for (Region& region : regions_) {
    region.before.swap(region.late);
    region.late.assign(region.at_trigger.size(), 0);
  }
}

void TriggerWatch::end_launch() {
  if (predecessor_ended_) return;
  // Every block triggered before it waited. So the next kernel may begin while the predecessor still writes.
  for (Region& region : regions_) {
    for (std::size_t i = 0; i < region.before.size(); ++i) region.late[i] |= region.before[i];
  }
}

void TriggerWatch::end_kernels() {
  for (Region& region : regions_) region.late.assign(region.late.size(), 0);
}

void TriggerWatch::trigger() {
  if (triggered_ || !active()) return;
  triggered_ = true;
  for (Region& region : regions_) std::memcpy(region.at_trigger.data(), region.address, region.at_trigger.size());
}

void TriggerWatch::end_block(const void* kernel) {
  if (!triggered_) return;
  for (Region& region : regions_) {
    const std::size_t bytes = region.at_trigger.size();
    if (std::memcmp(region.at_trigger.data(), region.address, bytes) == 0) continue;
    std::size_t count = 0, first = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      if (region.at_trigger[i] == region.address[i]) continue;
      if (count++ == 0) first = i;
      region.late[i] = 1;
    }
    note(kernel, region, count, first);
  }
}

void TriggerWatch::note(const void* kernel, const Region& region, std::size_t bytes, std::size_t first) {
  const auto same = std::find_if(late_writes_.begin(), late_writes_.end(), [&](const LateWrites& w) {
    return w.address == region.address && w.kernel == kernel;
  });
  if (same == late_writes_.end()) {
    late_writes_.push_back({kernel, region.address, bytes, first});
  } else {
    same->bytes += bytes;
  }
}

const std::vector<unsigned char>* TriggerWatch::late_bytes(const void* address) const {
  const auto region =
      std::find_if(regions_.begin(), regions_.end(), [&](const Region& r) { return r.address == address; });
  return region == regions_.end() ? nullptr : &region->late;
}

}  // namespace simt
