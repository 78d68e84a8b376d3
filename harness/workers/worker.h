/// The worker's side of the pool: runs the cases that the parent sends, and sends the answers.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace dsv4 {

struct Answer {
  nlohmann::json result;
  bool leaving = false;  ///< this process must be replaced (dead GPU context, out of memory)
};

/// Runs one case and returns its answer. An exception ends the process with the message of the exception, and the case
/// becomes an error.
using CaseHandler = std::function<Answer(const std::string& id)>;

/// Limits of a worker process.
struct WorkerLimits {
  double memory_gib = 0;  ///< writable private memory in GiB; 0 means no limit. Ignored with sanitizers, because
                          ///< they map terabytes
};

/// The connection to the parent. Create it before any other file is opened. The constructor moves the socket from
/// kWorkerSocket to a high descriptor number. There it is safe from code that closes low descriptors or writes to them.
class WorkerConnection {
 public:
  /// Throws Error if this process was not started by a pool.
  WorkerConnection();
  ~WorkerConnection();
  WorkerConnection(const WorkerConnection&) = delete;
  WorkerConnection& operator=(const WorkerConnection&) = delete;

  /// Tells the parent that this process cannot run any case, and why.
  void fatal(const std::string& why);
  /// Sends "hello", and then answers cases until the parent sends no more cases or an answer has `leaving` set.
  void serve(const CaseHandler& handler);
  /// Checks the heap and tells the parent that it is undamaged. If it is damaged, the process ends here with a message.
  /// Call this after everything that the cases used is closed.
  void bye();

 private:
  void send(const nlohmann::json& message);
  int socket_ = -1;
};

/// Limits the memory of this process. Also switches core files off, because the crash of a kernel is an ordinary event
/// here. Throws Error if the limit cannot be set.
void apply_limits(const WorkerLimits& limits);

/// Removes the memory limit. Call this when memory has run out, because the report of that must not run out of
/// memory too.
void lift_memory_limit();

}  // namespace dsv4
