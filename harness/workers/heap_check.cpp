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
// A sanitizer has its own allocator, and reports a write beyond a block when it happens.
void check_heap() {}
#else

namespace {

// The constants describe a chunk of glibc's malloc on 64-bit machines. Its form has not changed since glibc 2.0. A
// chunk begins with 8 bytes that belong to the chunk before it. Then comes its size, with flags in the low three bits.
// Chunks of the main heap are adjacent up to the program break.
constexpr std::uintptr_t kFlags = 7;
// Flags of a chunk that was mapped separately or belongs to another arena. No chunk of the main heap has them.
constexpr std::uintptr_t kForeignFlags = 6;
constexpr std::uintptr_t kAlignment = 16;
// If the heap cannot grow at its end, glibc puts a chunk of this size there and continues the heap at another address.
constexpr std::uintptr_t kFence = 16;

enum class Walk { kSound, kBroken, kUnknown };

/// Returns the address at which the heap begins, as /proc/self/maps gives it; 0 if there is no heap.
std::uintptr_t heap_start() {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return 0;
  char line[512];
  unsigned long start = 0;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::strstr(line, "[heap]") == nullptr) continue;
    start = std::strtoul(line, nullptr, 16);
    break;
  }
  std::fclose(maps);
  return start;
}

/// Visits the chunks of the heap from `start` on. At the end, `*at` is the address of the last chunk that was visited.
/// If the result is kBroken, this chunk is the damaged one.
Walk walk(std::uintptr_t start, std::uintptr_t* at) {
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  if (start == 0 || end <= start) return Walk::kUnknown;
  std::uintptr_t chunk = start;
  while (chunk < end) {
    *at = chunk;
    std::uintptr_t field = 0;
    // The address of a chunk must be computed from an integer, because the heap has no list of its chunks.
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
  // Another thread may be changing the heap. So the heap counts as damaged only if it stays broken for
  // some milliseconds.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (walk(start, &at) != Walk::kBroken) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  char message[160];
  const int length = std::snprintf(message, sizeof message,
                                   "the heap is damaged: the header of the block at %#lx was overwritten, probably by "
                                   "a write beyond the end of the block before it\n",
                                   static_cast<unsigned long>(at));
  (void)!::write(STDERR_FILENO, message, static_cast<std::size_t>(length));
  std::abort();
}

#endif  // DSV4_SANITIZED

}  // namespace dsv4
