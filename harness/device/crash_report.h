/// Says what a call of a kernel did when a signal such as SIGSEGV ended the process: which function of which set ran,
/// and which tensor the bad address belongs to.
#pragma once

#include <cstddef>
#include <string_view>

namespace dsv4 {

/// Installs a handler for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT in this process. The handler writes one line to
/// standard error. Then the signal has the effect that it had before. The handler runs on a stack of its own, because
/// the stack of a kernel may be exhausted.
void install_crash_report();

/// The call that a crash is attributed to while this object exists. One call at a time.
class WatchedCall {
 public:
  WatchedCall(std::string_view set, std::string_view op, std::string_view function);
  ~WatchedCall();
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;

  /// Adds the memory of a tensor of this call. `name` says in reports which tensor it is ("'input'"). If a call has
  /// very many tensors, the last ones are not kept.
  static void add(std::string_view name, const void* address, std::size_t bytes);
};

}  // namespace dsv4
