/// Sends cases to worker processes. Every case gets an outcome, whatever a kernel does to its process.
///
/// If a worker crashes, exits, hangs or sends something unexpected, a new worker replaces it. If the worker hung, or
/// had run no other case before, the case that it was running gets an error. Otherwise an earlier case may be the
/// cause, for example because it damaged the heap. So the case runs again, alone in a new process:
///   - If it crashes again, it gets the error.
///   - If it does not crash, it gets the outcome of this run. Then the last cases before it run, each alone in a new
///     process. The heap is checked after each case. The first case that crashes gets the error.
///   - If no case crashes alone, the case that was running when the worker crashed gets the error.
///
/// If a worker is killed from outside (killed_from_outside), its case is not the cause as far as anyone knows. So the
/// case runs again, alone in a new process, and gets the outcome of this run with a note.
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
  double timeout_seconds = 60;    ///< time limit of a case; then the worker is killed
  double start_seconds = 120;     ///< time limit for a worker to open its sets
  std::size_t earlier_tried = 4;  ///< number of earlier cases of a crashed worker that are run alone
  /// True: all cases run in their order in one process. If the process ends early, the remaining cases do not run.
  bool together = false;
  /// True: each case runs alone in a new process.
  bool alone = false;
};

/// The outcome of one case: an answer, or the reason why there is none.
struct Outcome {
  std::string id;
  nlohmann::json answer;  ///< null if there is no answer
  std::string error;      ///< such as "the worker process was killed by SIGSEGV"; "" if there is an answer
  double seconds = 0;
  int process = 0;        ///< number of the worker process that ran the case; processes are numbered from 1
  std::string note = {};  ///< how an earlier try of the case ended from outside; "" if there was none
  bool outside = false;   ///< no answer, because the process was killed from outside

  [[nodiscard]] bool answered() const { return error.empty(); }
};

struct PoolEvents {
  std::function<std::optional<std::string>()> next;     ///< the next case; nullopt when there are no more
  std::function<void(const std::string& id)> on_start;  ///< called before the case is sent to a worker
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
  int replacements = 0;  ///< number of workers that had to be replaced
};

/// Runs all cases that `events.next` returns. Throws Error only if no process can be created.
PoolEnd run_pool(const PoolOptions& options, const PoolEvents& events);

}  // namespace dsv4
