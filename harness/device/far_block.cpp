#include "harness/device/far_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "harness/core/error.h"
#include "harness/core/poison.h"

namespace dsv4 {
namespace {

constexpr std::size_t kPage = DeviceMemory::kPage;

std::size_t page_down(std::size_t byte) { return byte / kPage * kPage; }
std::size_t page_up(std::size_t byte) { return page_down(byte + kPage - 1); }

void require_fit(const HostTensor& t, const FarLayout& p) {
  const auto refuse = [&](const char* why) {
    throw Error(fmt::format("far layout: {} at shape {} with strides {}: {}", t.describe(), format_shape(p.shape),
                            format_shape(p.strides), why));
  };
  if (t.rank() == 0 || p.shape.size() != t.rank() || p.strides.size() != t.rank()) refuse("the ranks differ");
  if (std::ssize(p.rows) != t.size(0)) refuse("the number of places is not the number of its rows");
  for (std::size_t d = 0; d < t.rank(); ++d) {
    if (p.strides[d] < 0) refuse("a stride is negative");
    if (d > 0 && t.size(d) > p.shape[d]) refuse("a dimension is smaller than the tensor's");
  }
  for (const std::int64_t row : p.rows) {
    if (row < 0 || row >= p.shape[0]) refuse("a row lies outside the shape");
  }
}

/// Bytes from the start of the first element to the end of the last element that the function sees.
std::size_t extent(DType dtype, const FarLayout& p) {
  std::int64_t last = 0;
  for (std::size_t d = 0; d < p.shape.size(); ++d) last += std::max<std::int64_t>(p.shape[d] - 1, 0) * p.strides[d];
  return static_cast<std::size_t>(last + 1) * static_cast<std::size_t>(size_of(dtype));
}

}  // namespace

std::vector<FarBlock::Run> FarBlock::runs_of(const HostTensor& t, const FarLayout& p, std::size_t before) {
  const auto element = static_cast<std::size_t>(size_of(t.dtype));
  // If the elements of the last dimension are adjacent in the storage and also in the block, one run holds all of them.
  const bool dense = t.rank() > 1 && t.strides.back() == 1 && p.strides.back() == 1;
  const std::int64_t step = dense ? std::max<std::int64_t>(t.shape.back(), 1) : 1;
  std::vector<Run> runs;
  for (std::int64_t linear = 0; linear < t.numel(); linear += step) {
    Shape index = t.coordinates(linear);
    index[0] = p.rows[static_cast<std::size_t>(index[0])];
    std::int64_t to = 0;
    for (std::size_t d = 0; d < index.size(); ++d) to += index[d] * p.strides[d];
    runs.push_back(
        {t.byte_of(linear), before + static_cast<std::size_t>(to) * element, static_cast<std::size_t>(step) * element});
  }
  std::ranges::sort(runs, {}, &Run::to);
  std::vector<Run> merged;
  for (const Run& run : runs) {
    Run* const last = merged.empty() ? nullptr : &merged.back();
    if (last != nullptr && last->to + last->bytes > run.to)
      throw Error(fmt::format("far layout: two parts of {} overlap", t.describe()));
    if (last != nullptr && last->to + last->bytes == run.to && last->from + last->bytes == run.from) {
      last->bytes += run.bytes;
    } else {
      merged.push_back(run);
    }
  }
  return merged;
}

FarBlock::FarBlock(DeviceMemory& memory, const std::string& name, const HostTensor& tensor, const FarLayout& far_layout,
                   std::uint32_t poison, std::size_t misalign)
    : memory_(memory), before_(kGuard + misalign), poison_(poison), base_(nullptr, Release{&memory}) {
  require_fit(tensor, far_layout);
  bytes_ = extent(tensor.dtype, far_layout);
  const std::size_t all = page_up(before_ + bytes_ + kGuard);
  for (const Run& run : runs_of(tensor, far_layout, before_)) add(run, all);
  try {
    base_.reset(static_cast<std::uint8_t*>(memory.reserve(all)));
  } catch (const std::bad_alloc&) {
    throw Unavailable(
        fmt::format("'{}' is spread out over {:.1f} GiB, and the machine has no block of memory of that size", name,
                    static_cast<double>(all) / (1u << 30)));
  }
  for (const Island& island : islands_) memory_.open(base_.get() + island.begin, island.end - island.begin);
}

FarBlock::~FarBlock() {
  if (base_) disarm();
}

void FarBlock::add(const Run& run, std::size_t all) {
  const std::size_t begin = page_down(run.to - kGuard);
  const std::size_t end = std::min(all, page_up(run.to + run.bytes + kGuard));
  if (islands_.empty() || islands_.back().end < begin) {
    islands_.push_back({begin, end, {run}});
  } else {
    islands_.back().end = end;
    islands_.back().runs.push_back(run);
  }
}

template <class Visit>
void FarBlock::for_each_gap(const Island& island, Visit visit) {
  std::size_t begin = island.begin;
  for (const Run& run : island.runs) {
    if (run.to != begin) visit(begin, run.to);
    begin = run.to + run.bytes;
  }
  visit(begin, island.end);
}

void FarBlock::write(const std::vector<std::uint8_t>& image) {
  written_ = image;
  for (const Island& island : islands_) {
    std::vector<std::uint8_t> bytes(island.end - island.begin);
    poison_bytes(bytes.data(), bytes.size(), poison_, island.begin);
    for (const Run& run : island.runs)
      std::memcpy(bytes.data() + (run.to - island.begin), image.data() + run.from, run.bytes);
    memory_.upload(base_.get() + island.begin, bytes.data(), bytes.size());
  }
}

std::vector<std::uint8_t> FarBlock::download(const Island& island) const {
  std::vector<std::uint8_t> bytes(island.end - island.begin);
  memory_.download(bytes.data(), base_.get() + island.begin, bytes.size());
  return bytes;
}

/// Bytes of the storage that belong to no element are not copied to the device. For these bytes, the result has the
/// values that write() got.
std::vector<std::uint8_t> FarBlock::read() const {
  std::vector<std::uint8_t> image = written_;
  for (const Island& island : islands_) {
    const std::vector<std::uint8_t> bytes = download(island);
    for (const Run& run : island.runs)
      std::memcpy(image.data() + run.from, bytes.data() + (run.to - island.begin), run.bytes);
  }
  return image;
}

void FarBlock::arm() {
  for (const Island& island : islands_) {
    for_each_gap(island, [&](std::size_t begin, std::size_t end) { memory_.forbid(base_.get() + begin, end - begin); });
  }
}

void FarBlock::disarm() {
  for (const Island& island : islands_) memory_.permit(base_.get() + island.begin, island.end - island.begin);
}

void FarBlock::check(const std::string& name, std::vector<Finding>& findings) const {
  for (const Island& island : islands_) {
    const std::vector<std::uint8_t> bytes = download(island);
    bool intact = true;
    for_each_gap(island, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end && intact; ++i) {
        const std::uint8_t now = bytes[i - island.begin], before = poison_byte(poison_, i);
        if (now == before) continue;
        intact = false;
        findings.push_back(
            {"guard",
             fmt::format("'{}': the byte at offset {} from its first element, which belongs to no element, was "
                         "overwritten (0x{:02x} -> 0x{:02x})",
                         name, static_cast<std::int64_t>(i) - static_cast<std::int64_t>(before_), before, now)});
      }
    });
    if (!intact) return;
  }
}

}  // namespace dsv4
