/// Worker processes: hands cases to them, and gives every case an outcome whatever a kernel does to its process.
///
/// A worker that crashes, exits, hangs or talks nonsense costs the case that it was running; a new worker takes its
/// place. Where the worker had run other cases before, the crash may be their doing (a heap that was damaged long
/// before it was noticed). So the case is tried again alone in a fresh process; if it does not crash there, its outcome
/// is the one it has alone, and the last cases before it are tried alone in turn, each followed by a check of the heap.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

struct PoolOptions {
  std::vector<std::string> command;  ///< how a worker is started; argv[0] is a path
  int jobs = 1;
  double timeout_seconds = 60;    ///< per case; the worker is killed after it
  double start_seconds = 120;     ///< for a worker to open its sets
  std::size_t earlier_tried = 4;  ///< earlier cases of a crashed worker that are tried alone
};

/// What came of one case: an answer, or the reason why there is none.
struct Outcome {
  std::string id;
  nlohmann::json answer;  ///< null without an answer
  std::string error;      ///< "was killed by SIGSEGV (segmentation fault)...", "no answer within 60 s", ...
  double seconds = 0;

  [[nodiscard]] bool answered() const { return error.empty(); }
};

struct PoolEvents {
  std::function<std::optional<std::string>()> next;     ///< the next case; nullopt when there are no more
  std::function<void(const std::string& id)> on_start;  ///< before the case is sent to a worker
  std::function<void(const Outcome&)> on_outcome;       ///< may come a second time for a case: the later one counts
  std::function<bool()> stop = [] { return false; };    ///< asked several times a second; true abandons what runs
  std::function<void()> on_tick = [] {};                ///< several times a second
};

struct PoolEnd {
  enum class How {
    kFinished,  ///< every case has an outcome
    kStopped,   ///< stop() said so
    kFailed,    ///< workers cannot be started
  };
  How how = How::kFinished;
  std::string message;   ///< of kFailed
  int replacements = 0;  ///< workers that had to be replaced
};

/// Runs all cases of `events.next`. Throws Error only if no process can be made at all.
PoolEnd run_pool(const PoolOptions& options, const PoolEvents& events);

}  // namespace dsv4
