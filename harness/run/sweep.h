/// Sweeps one set. Runs its cases in the pool of workers and collects the results. Writes the journal and shows
/// the progress.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/run/case_answer.h"
#include "harness/run/journal.h"
#include "harness/run/known_faults.h"
#include "harness/run/progress.h"
#include "harness/verdict/result.h"
#include "harness/workers/pool.h"

namespace dsv4 {

struct SweepOptions {
  SideNames names;
  /// The words of the command that runs a case again. The sweep appends --case ID.
  std::vector<std::string> reproduce;
  /// Returns a sentence that says how to find the instruction of a wrong memory access, for a case whose worker crashed.
  /// "" for no advice.
  std::function<std::string(const std::string& id)> crash_advice = [](const std::string&) { return std::string(); };
  PoolOptions pool;
  Progress::Options progress;
  Journal* journal = nullptr;
  /// Reads a worker's answer. If this function throws, the verdict of the case is `error`.
  std::function<CaseAnswer(const nlohmann::json& answer)> read = [](const nlohmann::json& answer) {
    return answer.get<CaseAnswer>();
  };
  /// Known faults may cover a case whose worker died (check "crash"). If a worker answers, it has already applied the
  /// known faults.
  Policy policy;
};

struct SweepResult {
  std::vector<CaseResult> results;  ///< sorted by id
  PoolEnd end;
  /// Why the results may say nothing about kernels; empty if there is no such reason. Either workers could not
  /// be started, or a set could not be used (for example because a module was altered), or dsv4diff itself is
  /// wrong (InternalError).
  std::string failure;
  double seconds = 0;
};

/// Returns the ids of cases one by one; nullopt when there are no more.
using CaseSource = std::function<std::optional<std::string>()>;

SweepResult sweep(const SweepOptions& options, const CaseSource& next);

/// A source that returns these ids in order.
CaseSource source_of(std::vector<std::string> ids);

}  // namespace dsv4
