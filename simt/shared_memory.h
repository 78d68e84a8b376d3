/// Shared memory of the running block. `__shared__` variables are `thread_local`, so the module's thread-local segment
/// holds these variables and nothing else. Dynamic shared memory is one buffer between two guard bands. The buffer has
/// exactly the number of bytes that the launch asks for. Both kinds are filled with a pattern before every block,
/// because on a GPU they hold values that earlier blocks left there.
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
  /// Returns the offset of a changed guard byte from the start of dynamic shared memory, or `kIntact` if none has
  /// changed. Changes above the buffer are reported before changes below it.
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
