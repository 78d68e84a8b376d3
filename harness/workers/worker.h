/// The worker's side of the pool: answers cases until there are no more.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace dsv4 {

struct Answer {
  nlohmann::json result;
  bool leaving = false;  ///< this process is of no more use (dead GPU context, out of memory): replace it
};

/// Answers one case. Exceptions end the process with the message, which costs the case that ran.
using CaseHandler = std::function<Answer(const std::string& id)>;

/// Limits of a worker process.
struct WorkerLimits {
  double memory_gib = 0;  ///< private memory that can be written to; 0 = no limit. Ignored under sanitizers, which
                          ///< map terabytes
};

/// The connection to the parent. Make it before anything else is opened: it takes the socket from kWorkerSocket to a
/// descriptor out of the way of code that closes or writes to low ones.
class WorkerConnection {
 public:
  /// Throws Error if this process was not started by a pool.
  WorkerConnection();
  ~WorkerConnection();
  WorkerConnection(const WorkerConnection&) = delete;
  WorkerConnection& operator=(const WorkerConnection&) = delete;

  /// Tells the parent that this process cannot work, and why.
  void fatal(const std::string& why);
  /// Says hello and answers cases until the parent sends no more, or one answer says `leaving`.
  void serve(const CaseHandler& handler);
  /// To be called after everything that the cases used is closed: touches the heap, so that damage done to it shows
  /// here, and reports that it did not.
  void bye();

 private:
  void send(const nlohmann::json& message);
  int socket_ = -1;
};

/// Applies limits to this process: memory, and no core files (a crash of a kernel is an ordinary event here).
void apply_limits(const WorkerLimits& limits);

/// After memory has run out: what is left to do, to say so, must not run out of it again.
void lift_memory_limit();

}  // namespace dsv4
