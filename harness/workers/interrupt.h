/// Ctrl-C and polite requests to end: noted, so that what was done can be kept and printed.
#pragma once

namespace dsv4 {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP is noted instead of ending the process; a second one ends it at
/// once. One that the caller had ignored (nohup) stays ignored. SIGPIPE is ignored, so that a closed terminal or pipe
/// does not take the report files with it.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal that came, 0 if none.
  static int signal();
};

}  // namespace dsv4
