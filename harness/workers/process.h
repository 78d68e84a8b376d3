/// One child process of the pool: a socket for messages, a pipe for everything that it prints, and its exit status.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

/// Owns the child. The destructor kills it with its process group and reaps it.
class ChildProcess {
 public:
  /// Starts argv[0] with `argv`. The child's socket is descriptor kWorkerSocket, its output goes into a pipe, and its
  /// input is empty. It has its own process group, so that Ctrl-C reaches only the parent. If this process dies, the
  /// child is killed. Throws Error if no process can be started.
  explicit ChildProcess(const std::vector<std::string>& argv);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] int output() const { return output_; }

  /// Reads what the child printed and keeps its tail.
  void drain_output();
  /// The last lines that the child printed since forget_output(), with control characters made visible; "" if there
  /// are none.
  [[nodiscard]] std::string output_tail() const;
  void forget_output() { tail_.clear(); }

  /// Closes the sending direction, which tells the child that nothing more will be sent.
  void close_sending();
  /// The status of waitpid if the child has ended; nullopt otherwise.
  std::optional<int> ended();
  /// Waits up to `seconds` for the child to end by itself. Returns as ended().
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
