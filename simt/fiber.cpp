#include "simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt {
namespace {

using Context = boost::context::fiber;

constexpr std::size_t kCacheLine = 64;

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// Tells AddressSanitizer which stack will be in use. Without AddressSanitizer, this function does nothing.
void before_switch([[maybe_unused]] Fiber& from, [[maybe_unused]] Fiber& to, [[maybe_unused]] bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.sanitizer_stack, to.sanitizer_bottom, to.sanitizer_bytes);
#endif
}

/// `left` is the context of the fiber that switched to `self`.
void after_switch(Fiber& self, Context left) {
  Fiber* const from = self.resumed_by;
  from->context = std::move(left);
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(self.sanitizer_stack, &bottom, &bytes);
  if (from->stack == nullptr) {  // `from` is the OS thread, and the bounds of its stack are known only now
    from->sanitizer_bottom = bottom;
    from->sanitizer_bytes = bytes;
  }
#endif
}

/// Drops a context without calling its destructor. The destructor would unwind the fiber's frames with an
/// exception, and a kernel must not see an exception. Nothing leaks: a context owns only its stack, and the stack
/// is reused or unmapped.
void forget(Context context) {
  alignas(Context) unsigned char place[sizeof(Context)];
  ::new (static_cast<void*>(place)) Context(std::move(context));
}

/// Does not free the stack, because the stack belongs to the Fiber.
struct BorrowedStack {
  void deallocate(boost::context::stack_context&) noexcept {}
};

}  // namespace

Fiber::~Fiber() { forget(std::move(context)); }

Stack::Stack() {
  const std::size_t guard = page_bytes();
  void* mapping = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  // The operating system limits the number of mappings, and a guard page splits one mapping into two. If the limit is
  // reached, mprotect fails, and this stack does not have a guard page.
  (void)mprotect(mapping, guard, PROT_NONE);
  bottom_ = static_cast<char*>(mapping) + guard;
  // If the tops of all stacks had the same distance from a page boundary, they would all use the same few sets of
  // the cache. Then a block of a thousand threads would miss the cache at every switch. So the distance varies by up
  // to a page.
  static unsigned made = 0;
  top_ = bottom_ + kStackBytes - made++ % 64 * kCacheLine;
}

Stack::~Stack() { munmap(bottom_ - page_bytes(), page_bytes() + kStackBytes); }

void prepare(Fiber& fiber, FiberMain entry) {
  if (fiber.stack == nullptr) fiber.stack = std::make_unique<Stack>();
#if defined(__SANITIZE_ADDRESS__)
  // Frames of an abandoned fiber have left AddressSanitizer's red zones on the stack.
  ASAN_UNPOISON_MEMORY_REGION(fiber.stack->bottom(), kStackBytes);
  fiber.sanitizer_stack = nullptr;
  fiber.sanitizer_bottom = fiber.stack->bottom();
  fiber.sanitizer_bytes = kStackBytes;
#endif
  forget(std::move(fiber.context));
  boost::context::stack_context stack;
  stack.sp = fiber.stack->top();
  stack.size = static_cast<std::size_t>(fiber.stack->top() - fiber.stack->bottom());
  fiber.context = Context(std::allocator_arg, boost::context::preallocated(stack.sp, stack.size, stack),
                          BorrowedStack{}, [&fiber, entry](Context&& left) {
                            after_switch(fiber, std::move(left));
                            entry();
                            return Context();  // not reached
                          });
  fiber.started = false;
  fiber.waiting = false;
}

void switch_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to, false);
  to.resumed_by = &from;
  after_switch(from, std::move(to.context).resume());
}

void abandon_fiber(Fiber& from, Fiber& to) {
  before_switch(from, to, true);
  to.resumed_by = &from;
  forget(std::move(to.context).resume());
  __builtin_unreachable();
}

}  // namespace simt
