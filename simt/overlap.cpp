#include "simt/overlap.h"

#include <cstring>

namespace simt {

void Overlap::add(unsigned char* address, std::size_t bytes, const unsigned char* earlier) {
  if (bytes == 0) return;
  regions_.push_back({.address = address,
                      .before = std::vector<unsigned char>(earlier, earlier + bytes),
                      .after = std::vector<unsigned char>(bytes),
                      .start = {}});
}

void Overlap::begin_launch(bool dependent) {
  dependent_ = dependent && !regions_.empty();
  for (Region& region : regions_) {
    if (!region.start.empty()) {
      region.before.swap(region.start);
      region.of_a_launch = true;
    }
    region.start.assign(region.address, region.address + region.before.size());
  }
}

void Overlap::begin_block() {
  pending_ = dependent_;
  if (!pending_) return;
  for (Region& region : regions_) {
    std::memcpy(region.after.data(), region.address, region.after.size());
    std::memcpy(region.address, region.before.data(), region.before.size());
  }
}

void Overlap::end_predecessor() {
  pending_ = false;
  for (Region& region : regions_) {
    for (std::size_t i = 0; i < region.after.size(); ++i) {
      // If the predecessor is a launch of this module, only the bytes that it changed overwrite the block's early
      // writes. Any other predecessor may have used the whole region, because an allocator reuses memory that the
      // stream is still using.
      if (!region.of_a_launch || region.after[i] != region.before[i]) region.address[i] = region.after[i];
    }
  }
}

void Overlap::end_block() {
  if (pending_) end_predecessor();  // the block never waited, so all its writes came before the wait
}

}  // namespace simt
