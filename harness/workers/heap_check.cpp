#include "harness/workers/heap_check.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace dsv4 {

#ifdef DSV4_SANITIZED
// A sanitizer has its own allocator, and reports such a write when it happens.
void check_heap() {}
#else

namespace {

// A chunk of glibc's malloc, which has had this form since 2.0 on 64-bit machines. It has 8 bytes that belong to the
// chunk before, then its size with flags in the low three bits. Chunks of the main heap are adjacent up to the
// program break.
constexpr std::uintptr_t kFlags = 7;
constexpr std::uintptr_t kForeignFlags = 6;  // set if mapped separately or of another arena; never in the main heap
constexpr std::uintptr_t kAlignment = 16;
constexpr std::uintptr_t kFence =
    16;  // the size that is written at the end of a part that could not grow; the heap continues elsewhere

enum class Walk { kSound, kBroken, kUnknown };

/// Address at which the heap begins, from /proc/self/maps; 0 if there is no heap.
std::uintptr_t heap_start() {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return 0;
  char line[512];
  unsigned long start = 0;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::strstr(line, "[heap]") != nullptr && std::sscanf(line, "%lx-", &start) == 1) break;
    start = 0;
  }
  std::fclose(maps);
  return start;
}

/// Walks the heap from `start`. If a size is impossible, `at` receives the address of that chunk.
Walk walk(std::uintptr_t start, std::uintptr_t* at) {
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  if (start == 0 || end <= start) return Walk::kUnknown;
  std::uintptr_t chunk = start;
  while (chunk < end) {
    *at = chunk;
    std::uintptr_t field = 0;
    // Only arithmetic on addresses finds a chunk, because the heap has no other index.
    std::memcpy(&field, reinterpret_cast<const void*>(chunk + 8), sizeof field);  // NOLINT(performance-no-int-to-ptr)
    const std::uintptr_t size = field & ~kFlags;
    if (size == kFence) return Walk::kUnknown;
    if (size < 2 * kAlignment || size % kAlignment != 0 || size > end - chunk || (field & kForeignFlags) != 0) {
      return Walk::kBroken;
    }
    chunk += size;
  }
  return Walk::kSound;
}

}  // namespace

void check_heap() {
  std::uintptr_t at = 0;
  static const std::uintptr_t start = heap_start();
  static const bool trusted = walk(start, &at) == Walk::kSound;
  if (!trusted) return;
  // Another thread may be changing the heap, so a broken chain counts only if it stays broken for some milliseconds.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (walk(start, &at) != Walk::kBroken) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  char message[160];
  const int length = std::snprintf(
      message, sizeof message, "the heap is damaged: something wrote beyond its own block and over the block at %#lx\n",
      static_cast<unsigned long>(at));
  (void)!::write(STDERR_FILENO, message, static_cast<std::size_t>(length));
  std::abort();
}

#endif  // DSV4_SANITIZED

}  // namespace dsv4
