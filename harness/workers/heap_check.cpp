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
// A sanitizer brings its own allocator, and sees such a write when it happens.
void check_heap() {}
#else

namespace {

// The form of a chunk in glibc's malloc, the same since 2.0 on 64-bit machines: 8 bytes that belong to the chunk
// before, then the size with flags in its low three bits. Chunks of the main heap lie back to back up to the program
// break.
constexpr std::uintptr_t kFlags = 7;
constexpr std::uintptr_t kForeignFlags = 6;  // mapped on its own, or of another arena: none such lies in the main heap
constexpr std::uintptr_t kAlignment = 16;
constexpr std::uintptr_t kFence =
    16;  // written at the end of a stretch that could not grow: the heap goes on elsewhere

enum class Walk { kSound, kBroken, kUnknown };

/// Where the heap begins, as the system says; 0 if there is none.
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

/// `at` receives the place where the chain is broken.
Walk walk(std::uintptr_t start, std::uintptr_t* at) {
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  if (start == 0 || end <= start) return Walk::kUnknown;
  std::uintptr_t chunk = start;
  while (chunk < end) {
    *at = chunk;
    std::uintptr_t field = 0;
    // Chunks are found by arithmetic on addresses, which is all that the heap's layout offers.
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
  // Another thread may be at work in the heap; what it leaves half done is done a moment later.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (walk(start, &at) != Walk::kBroken) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  char message[160];
  const int length = std::snprintf(message, sizeof message,
                                   "the heap is damaged: something wrote beyond its block, over the one at %#lx\n",
                                   static_cast<unsigned long>(at));
  (void)!::write(STDERR_FILENO, message, static_cast<std::size_t>(length));
  std::abort();
}

#endif  // DSV4_SANITIZED

}  // namespace dsv4
