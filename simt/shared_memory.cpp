#include "simt/shared_memory.h"

#include <link.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "simt/executor.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)0)
#endif

namespace simt {
namespace {

constexpr std::size_t kGuardBytes = 1024;
constexpr std::size_t kAlignment = 1024;  ///< bytes; the most that a GPU requires (for a swizzled bulk copy)
constexpr unsigned char kGuardByte = 0xB7;

// A write to `anchor` makes the C library allocate this module's thread-local segment in the calling thread. The
// distance from `anchor` to the start of the segment is the same in every thread.
thread_local char anchor;

struct Segment {
  std::ptrdiff_t from_anchor = 0;
  std::size_t bytes = 0;
};

Segment find_segment() {
  struct Search {
    std::uintptr_t code;
    char* anchor;
    Segment found;
  } search{reinterpret_cast<std::uintptr_t>(&find_segment), &anchor, {}};
  *search.anchor = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& search = *static_cast<Search*>(data);
        bool ours = false;
        std::size_t bytes = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const std::uintptr_t start = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type == PT_LOAD && search.code - start < segment.p_memsz) ours = true;
          if (segment.p_type == PT_TLS) bytes = segment.p_memsz;
        }
        if (!ours || info->dlpi_tls_data == nullptr) return ours ? 1 : 0;
        search.found = {static_cast<char*>(info->dlpi_tls_data) - search.anchor, bytes};
        return 1;
      },
      &search);
  return search.found;
}

const Segment& segment() {
  static const Segment found = find_segment();
  return found;
}

/// The static variables of the running block.
char* statics_here() {
  char* from_here = &anchor;
  // Hides the pointer's origin. Otherwise the compiler would assume that only `anchor` is written.
  asm("" : "+r"(from_here));
  return from_here + segment().from_anchor;
}

/// Returns the first address in `memory` that has the alignment of the segment. `memory` is a multiple of kAlignment.
char* aligned_like_segment(char* memory) {
  return memory + reinterpret_cast<std::uintptr_t>(statics_here()) % kAlignment;
}

void fill(char* at, std::size_t bytes, std::uint32_t pattern) {
  std::size_t i = 0;
  for (; i + sizeof pattern <= bytes; i += sizeof pattern) std::memcpy(at + i, &pattern, sizeof pattern);
  std::memcpy(at + i, &pattern, bytes - i);
}

/// Returns the index of the first changed byte of a guard band, or -1 if none has changed.
[[maybe_unused]] std::ptrdiff_t first_change(const unsigned char* guard) {
  // If each byte of the band equals the next byte, all bytes have the same value.
  if (guard[0] == kGuardByte && std::memcmp(guard, guard + 1, kGuardBytes - 1) == 0) return -1;
  std::ptrdiff_t i = 0;
  while (guard[i] == kGuardByte) ++i;
  return i;
}

}  // namespace

void SharedMemory::Free::operator()(char* memory) const { std::free(memory); }

SharedMemory::Memory SharedMemory::allocate(std::size_t bytes) {
  Memory memory(static_cast<char*>(std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void SharedMemory::begin_launch(std::size_t dynamic_bytes, unsigned cluster_blocks) {
  static_assert(kGuardBytes <= kAlignment, "the lower guard band must fit into the alignment gap");
  dynamic_bytes_ = dynamic_bytes;
  count_ = cluster_blocks;
  running_ = 0;
  if (blocks_.size() < count_) blocks_.resize(count_);
  for (unsigned i = 0; i < count_; ++i) {
    OfBlock& block = blocks_[i];
    if (block.buffer == nullptr) {
      block.buffer = allocate(kAlignment + kMaxSharedBytes + kGuardBytes);
      block.dynamic = block.buffer.get() + kAlignment;
    }
    // The copy keeps the alignment of the variables.
    if (count_ > 1 && block.statics == nullptr) block.statics = allocate(segment().bytes + kAlignment);
    std::memset(block.dynamic - kGuardBytes, kGuardByte, kGuardBytes);
    std::memset(block.dynamic + dynamic_bytes_, kGuardByte, kGuardBytes);
    ASAN_POISON_MEMORY_REGION(block.dynamic - kGuardBytes, kGuardBytes);
    ASAN_POISON_MEMORY_REGION(block.dynamic + dynamic_bytes_, kMaxSharedBytes - dynamic_bytes_ + kGuardBytes);
  }
}

void SharedMemory::end_launch() {
  for (unsigned i = 0; i < count_; ++i) {
    ASAN_UNPOISON_MEMORY_REGION(blocks_[i].buffer.get(), kAlignment + kMaxSharedBytes + kGuardBytes);
  }
}

void SharedMemory::begin_cluster(std::uint32_t pattern) {
  running_ = 0;
  fill(statics_here(), segment().bytes, pattern);
  for (unsigned i = 0; i < count_; ++i) {
    fill(blocks_[i].dynamic, dynamic_bytes_, pattern);
    if (count_ > 1) fill(aligned_like_segment(blocks_[i].statics.get()), segment().bytes, pattern);
  }
}

void SharedMemory::enter(unsigned rank) {
  if (rank == running_) return;
  std::memcpy(aligned_like_segment(blocks_[running_].statics.get()), statics_here(), segment().bytes);
  std::memcpy(statics_here(), aligned_like_segment(blocks_[rank].statics.get()), segment().bytes);
  running_ = rank;
}

void* SharedMemory::of_block(const void* address, unsigned rank) const {
  const auto offset = [address](const char* start) {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(start);
  };
  const std::size_t in_dynamic = offset(blocks_[running_].dynamic), in_static = offset(statics_here());
  if (in_dynamic < dynamic_bytes_) return blocks_[rank].dynamic + in_dynamic;
  if (in_static >= segment().bytes) return nullptr;
  return (rank == running_ ? statics_here() : aligned_like_segment(blocks_[rank].statics.get())) + in_static;
}

std::optional<SharedMemory::Damage> SharedMemory::damaged_guard() const {
#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer stops the program at the write, and would report these reads
  for (unsigned i = 0; i < count_; ++i) {
    const auto* data = reinterpret_cast<const unsigned char*>(blocks_[i].dynamic);
    if (const auto at = first_change(data + dynamic_bytes_); at >= 0)
      return Damage{i, static_cast<std::ptrdiff_t>(dynamic_bytes_) + at};
    if (const auto at = first_change(data - kGuardBytes); at >= 0)
      return Damage{i, at - static_cast<std::ptrdiff_t>(kGuardBytes)};
  }
#endif
  return std::nullopt;
}

}  // namespace simt
