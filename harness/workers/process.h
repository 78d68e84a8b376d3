/// One child process of the pool. It has a socket for messages, a pipe for everything that the child prints, and the
/// exit status of the child.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

/// Owns the child. The destructor kills the child and its process group, and waits for the child to end.
class ChildProcess {
 public:
  /// Starts the program argv[0] with the arguments `argv`. In the child, the socket is descriptor kWorkerSocket, the
  /// output goes into the pipe, and the input is empty. The child has its own process group, so that Ctrl-C reaches
  /// only the parent. If the parent dies, the child is killed. Throws Error if no process can be started.
  explicit ChildProcess(const std::vector<std::string>& argv);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] int output() const { return output_; }

  /// Reads what the child has printed, and keeps the end of it.
  void drain_output();
  /// Returns the last lines that the child has printed since forget_output(), with control characters made visible; ""
  /// if there are no such lines.
  [[nodiscard]] std::string output_tail() const;
  void forget_output() { tail_.clear(); }

  /// Closes the socket for writing. This tells the child that no more messages follow.
  void close_sending();
  /// Returns the status from waitpid() if the child has ended, else nullopt.
  std::optional<int> ended();
  /// Waits up to `seconds` for the child to end by itself. Returns the same as ended().
  std::optional<int> wait_for(double seconds);
  /// Says which limit of the environment ended the child, for example "; it had used 5.0 s of CPU time, and
  /// 'ulimit -t' allows 5 s". "" if the child still runs, or if no such limit is known.
  [[nodiscard]] std::string limit_reached() const;
  /// Kills the child and all other processes in its process group, and waits for the child to end.
  void kill();

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
  int output_ = -1;
  std::string tail_;
  std::optional<int> status_;
  double cpu_seconds_ = 0;  // what the child had used when it ended
};

/// True if the status is that of a signal that a kernel does not cause by a fault: somebody or the system sent it, or a
/// limit of the environment (ulimit) was reached.
bool killed_from_outside(int wait_status);

/// Describes a status, for example "was killed by SIGSEGV (segmentation fault)" or "exited with status 3".
std::string describe_status(int wait_status);

/// Describes the end of a process that had printed `printed` at last. If it aborted because the C library found a
/// damaged heap, the description says so in the words of check_heap: "the heap is damaged".
std::string describe_end(int wait_status, const std::string& printed);

}  // namespace dsv4
