/// One child process of the pool: a socket to talk over, a pipe that catches whatever it prints, and how it ended.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

/// Owns the child: it is killed with its process group and reaped when this object goes.
class ChildProcess {
 public:
  /// Starts argv[0] with `argv`. The child finds its socket at descriptor kWorkerSocket, prints into a pipe, reads
  /// nothing, is its own process group (so that Ctrl-C reaches the parent alone), and dies with this process.
  /// Throws Error if no process can be started.
  explicit ChildProcess(const std::vector<std::string>& argv);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] int output() const { return output_; }

  /// Takes what the child printed into the tail that is kept.
  void drain_output();
  /// The last lines that the child printed since forget_output(), control characters made visible; "" if none.
  [[nodiscard]] std::string output_tail() const;
  void forget_output() { tail_.clear(); }

  /// Tells the child that nothing more will be sent.
  void close_sending();
  /// How the child ended, if it has: the status of waitpid.
  std::optional<int> ended();
  /// Waits up to `seconds` for the child to end by itself.
  std::optional<int> wait_for(double seconds);
  /// Kills the child and everything in its process group, and waits for it.
  void kill();

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
  int output_ = -1;
  std::string tail_;
  std::optional<int> status_;
};

/// "was killed by SIGSEGV (segmentation fault)" or "exited with status 3".
std::string describe_status(int wait_status);

}  // namespace dsv4
