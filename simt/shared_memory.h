/// Shared memory of the running block.
///
/// `__shared__` variables are `thread_local`, so the module's thread-local segment holds them and nothing else. Dynamic
/// shared memory is one buffer of the launch's exact size between two guard bands. Both are filled with a pattern
/// before every block, because on a GPU they hold what ran before.
#pragma once

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(hidden)

namespace simt {

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// Sets the size of dynamic shared memory for the launch that begins.
  void begin_launch(std::size_t dynamic_bytes);
  /// Fills static and dynamic shared memory with `pattern`.
  void begin_block(std::uint32_t pattern);
  /// The offset of the first changed guard byte, relative to the start of dynamic shared memory; `kIntact` if none.
  std::ptrdiff_t damaged_guard() const;
  void end_launch();

  static constexpr std::ptrdiff_t kIntact = -0x7FFFFFFF;

  void* dynamic() const { return dynamic_; }

 private:
  char* buffer_ = nullptr;
  char* dynamic_ = nullptr;
  std::size_t dynamic_bytes_ = 0;
};

}  // namespace simt

#pragma GCC visibility pop
