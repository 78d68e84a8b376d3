/// The worker's side of the pool: answers cases until there are no more.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace dsv4 {

struct Answer {
  nlohmann::json result;
  bool leaving = false;  ///< this process must be replaced (dead GPU context, out of memory)
};

/// Answers one case. An exception ends the process with its message, and the case becomes an error.
using CaseHandler = std::function<Answer(const std::string& id)>;

/// Limits of a worker process.
struct WorkerLimits {
  double memory_gib = 0;  ///< writable private memory in GiB; 0 means no limit. Ignored under sanitizers, which
                          ///< map terabytes
};

/// The connection to the parent. Create it before any other file is opened. It moves the socket from kWorkerSocket to a
/// high descriptor, which is safe from code that closes low descriptors or writes to them.
class WorkerConnection {
 public:
  /// Throws Error if this process was not started by a pool.
  WorkerConnection();
  ~WorkerConnection();
  WorkerConnection(const WorkerConnection&) = delete;
  WorkerConnection& operator=(const WorkerConnection&) = delete;

  /// Tells the parent that this process cannot work, and why.
  void fatal(const std::string& why);
  /// Sends "hello" and answers cases until the parent sends no more, or until an answer is `leaving`.
  void serve(const CaseHandler& handler);
  /// Call this after everything that the cases used is closed. Checks the heap, so that damage is reported here, and
  /// tells the parent that there is none.
  void bye();

 private:
  void send(const nlohmann::json& message);
  int socket_ = -1;
};

/// Limits the memory of this process, and switches core files off, because a kernel's crash is an ordinary event here.
/// Throws Error if the limit cannot be set.
void apply_limits(const WorkerLimits& limits);

/// Call this when memory has run out. Reporting that must not run out of memory again.
void lift_memory_limit();

}  // namespace dsv4
