/// Handles Ctrl-C and other requests to end the process, so that finished results can be kept and printed.
#pragma once

namespace dsv4 {

/// While an object of this class exists, the first SIGINT, SIGTERM or SIGHUP is only stored, and the process goes on. A
/// second one ends the process immediately. If the caller had set a signal to be ignored (nohup), it stays ignored.
/// SIGPIPE is ignored, so that the report files are still written if the terminal or pipe is closed.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal that was received; 0 if no signal was received.
  static int signal();
};

}  // namespace dsv4
