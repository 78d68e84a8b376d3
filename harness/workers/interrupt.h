/// Handles Ctrl-C and other requests to end, so that finished results can be kept and printed.
#pragma once

namespace dsv4 {

/// While an object of this class exists, the first SIGINT, SIGTERM or SIGHUP is stored instead of ending the process. A
/// second one ends it at once. A signal that the caller had ignored (nohup) stays ignored. SIGPIPE is ignored, so that
/// the report files are still written if the terminal or pipe is closed.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal that was received; 0 if none.
  static int signal();
};

}  // namespace dsv4
