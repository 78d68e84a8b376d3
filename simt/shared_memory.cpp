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

SharedMemory::SharedMemory() {
  const std::size_t bytes = kAlignment + kMaxSharedBytes + kGuardBytes;
  buffer_ = static_cast<char*>(std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment));
  if (buffer_ == nullptr) throw std::bad_alloc();
  static_assert(kGuardBytes <= kAlignment, "the lower guard band must fit into the alignment gap");
  dynamic_ = buffer_ + kAlignment;
}

SharedMemory::~SharedMemory() {
  end_launch();
  std::free(buffer_);
}

void SharedMemory::begin_launch(std::size_t dynamic_bytes) {
  dynamic_bytes_ = dynamic_bytes;
  std::memset(dynamic_ - kGuardBytes, kGuardByte, kGuardBytes);
  std::memset(dynamic_ + dynamic_bytes_, kGuardByte, kGuardBytes);
  ASAN_POISON_MEMORY_REGION(dynamic_ - kGuardBytes, kGuardBytes);
  ASAN_POISON_MEMORY_REGION(dynamic_ + dynamic_bytes_, kMaxSharedBytes - dynamic_bytes_ + kGuardBytes);
}

void SharedMemory::end_launch() { ASAN_UNPOISON_MEMORY_REGION(buffer_, kAlignment + kMaxSharedBytes + kGuardBytes); }

void SharedMemory::begin_block(std::uint32_t pattern) {
  static const Segment segment = find_segment();
  char* from_here = &anchor;
  // Hides the pointer's origin. Otherwise the compiler would assume that only `anchor` is written.
  asm("" : "+r"(from_here));
  fill(from_here + segment.from_anchor, segment.bytes, pattern);
  fill(dynamic_, dynamic_bytes_, pattern);
}

std::ptrdiff_t SharedMemory::damaged_guard() const {
#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer stops the program at the write, and would report these reads
  const auto* data = reinterpret_cast<const unsigned char*>(dynamic_);
  if (const auto i = first_change(data + dynamic_bytes_); i >= 0)
    return static_cast<std::ptrdiff_t>(dynamic_bytes_) + i;
  if (const auto i = first_change(data - kGuardBytes); i >= 0) return i - static_cast<std::ptrdiff_t>(kGuardBytes);
#endif
  return kIntact;
}

}  // namespace simt
