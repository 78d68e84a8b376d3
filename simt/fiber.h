/// Fibers: stacks with a saved context, and the switch between them.
#pragma once

#include <vector_types.h>

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "simt/executor.h"

#pragma GCC visibility push(hidden)

namespace simt {

/// Size of a fiber's stack. Under AddressSanitizer, frames are several times larger.
#if !defined(SIMT_STACK_KIB)
#if defined(__SANITIZE_ADDRESS__)
#define SIMT_STACK_KIB 256
#else
#define SIMT_STACK_KIB 64
#endif
#endif
inline constexpr std::size_t kStackBytes = std::size_t{SIMT_STACK_KIB} * 1024;

/// The memory of a stack, with an inaccessible page below it. So a stack overflow ends in SIGSEGV and does not
/// overwrite another stack.
class Stack {
 public:
  Stack();
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* bottom() const { return bottom_; }
  char* top() const { return top_; }

 private:
  char* bottom_;
  char* top_;
};

/// A fiber that runs CUDA threads. A Fiber without a `stack` is the OS thread that launched the kernel.
struct Fiber {
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  boost::context::fiber context;  ///< where the fiber will continue; empty while it runs
  Fiber* resumed_by = nullptr;    ///< the fiber that last switched to this one
  std::unique_ptr<Stack> stack;
  void* sanitizer_stack = nullptr;         ///< AddressSanitizer's data for a fiber that is not running
  const void* sanitizer_bottom = nullptr;  ///< the stack's lowest address, for AddressSanitizer
  std::size_t sanitizer_bytes = 0;

  bool started = false;  ///< true while the fiber runs a thread that has not ended
  bool waiting = false;
  unsigned thread = 0;  ///< index in the block
  unsigned block = 0;   ///< number of the block in its cluster
  uint3 index{};
  Collective waits_in = Collective::kBarrier;
  std::uint32_t waits_mask = 0;
};

/// The function that a fiber runs. It never returns: at its end it switches to another fiber.
using FiberMain = void (*)();

/// Gives `fiber` a new context that starts in `entry`. If it does not have a stack, it gets one. Frames that are still
/// on its stack are dropped, and destructors of their variables do not run.
void prepare(Fiber& fiber, FiberMain entry);

/// Stops `from` and continues `to`. Returns when a fiber switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

/// Stops `from` forever and continues `to`. Before `from` is used again, `prepare` must give it a new context.
[[noreturn]] void abandon_fiber(Fiber& from, Fiber& to);

}  // namespace simt

#pragma GCC visibility pop
