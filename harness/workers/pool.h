/// Hands cases to worker processes, and gives every case an outcome whatever a kernel does to its process.
///
/// If a worker crashes, exits, hangs or sends something unexpected, the case that it was running gets an error. A new
/// worker replaces it. If the worker ran other cases before, one of them may have caused the crash, for example by
/// damaging the heap. So the case is run again alone in a new process. If it does not crash there, it gets the outcome
/// of that run. Then the last cases before it are run alone in turn, each followed by a check of the heap.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

struct PoolOptions {
  std::vector<std::string> command;  ///< command line of a worker; argv[0] is a path
  int jobs = 1;
  double timeout_seconds = 60;  ///< for each case; then the worker is killed
  double start_seconds = 120;   ///< for a worker to open its sets
  std::size_t suspects = 4;     ///< how many earlier cases of a crashed worker are run alone
};

/// The outcome of one case: an answer, or the reason why there is none.
struct Outcome {
  std::string id;
  nlohmann::json answer;  ///< null if there is no answer
  std::string error;      ///< "the worker process was killed by SIGSEGV (segmentation fault)", ...; "" with an answer
  double seconds = 0;

  [[nodiscard]] bool answered() const { return error.empty(); }
};

struct PoolEvents {
  std::function<std::optional<std::string>()> next;     ///< the next case; nullopt when there are no more
  std::function<void(const std::string& id)> on_start;  ///< before the case is sent to a worker
  std::function<void(const Outcome&)> on_outcome;       ///< may be called twice for a case; the later outcome counts
  std::function<bool()> stop = [] { return false; };    ///< called several times a second; true abandons running cases
  std::function<void()> on_tick = [] {};                ///< called several times a second
};

struct PoolEnd {
  enum class How {
    kFinished,  ///< every case has an outcome
    kStopped,   ///< stop() returned true
    kFailed,    ///< workers cannot be started
  };
  How how = How::kFinished;
  std::string message;   ///< for kFailed: the reason
  int replacements = 0;  ///< workers that had to be replaced
};

/// Runs all cases that `events.next` returns. Throws Error only if no process can be created.
PoolEnd run_pool(const PoolOptions& options, const PoolEvents& events);

}  // namespace dsv4
