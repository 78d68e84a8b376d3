/// Fibers: stacks with a saved context, and the switch between them.
#pragma once

#include <vector_types.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "simt/executor.h"

#pragma GCC visibility push(hidden)

namespace simt {

/// Bytes of a fiber's stack. AddressSanitizer's frames are several times larger.
#if !defined(SIMT_STACK_KIB)
#if defined(__SANITIZE_ADDRESS__)
#define SIMT_STACK_KIB 256
#else
#define SIMT_STACK_KIB 64
#endif
#endif
inline constexpr std::size_t kStackBytes = std::size_t{SIMT_STACK_KIB} * 1024;

/// A mapping with an inaccessible page below the stack, so that an overflow faults instead of reaching a neighbour.
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

/// A CUDA thread in flight, or, without a stack of its own, the OS thread that launched.
struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;
  std::unique_ptr<Stack> stack;
  void* sanitizer_stack = nullptr;         ///< what AddressSanitizer keeps of a fiber that is not running
  const void* sanitizer_bottom = nullptr;  ///< bounds of the stack, for AddressSanitizer
  std::size_t sanitizer_bytes = 0;

  bool started = false;  ///< runs a thread that has not ended
  bool waiting = false;
  unsigned thread = 0;  ///< index in the block
  uint3 index{};
  Collective waits_in = Collective::kBarrier;
  std::uint32_t waits_mask = 0;
};

using FiberMain = void (*)(boost::context::detail::transfer_t);

/// Gives `fiber` a fresh context that starts in `entry`; makes its stack if it has none.
void prepare(Fiber& fiber, FiberMain entry);

/// Leaves `from` and continues `to`; returns when somebody switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

/// Leaves `from` for good (its stack is about to be prepared afresh).
[[noreturn]] void abandon_fiber(Fiber& from, Fiber& to);

/// To be called first in a fiber's entry function.
void arrive_in_new_fiber(Fiber& self, boost::context::detail::transfer_t transfer);

}  // namespace simt

#pragma GCC visibility pop
