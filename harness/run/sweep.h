/// Sweeps one set: runs its cases in the pool, with journal and progress, and collects the results.
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
  /// The words of a command that runs one of these cases again, without --case ID at the end.
  std::vector<std::string> reproduce;
  PoolOptions pool;
  Progress::Options progress;
  Journal* journal = nullptr;
  /// Reads a worker's answer. If it throws, the case becomes an error.
  std::function<CaseAnswer(const nlohmann::json& answer)> read = [](const nlohmann::json& answer) {
    return answer.get<CaseAnswer>();
  };
  /// Known faults may cover a case whose worker died ("crash"); a worker that answers has applied them itself.
  Policy policy;
};

struct SweepResult {
  std::vector<CaseResult> results;  ///< sorted by id
  PoolEnd end;
  /// Why results cannot be trusted to be about kernels: workers could not be started, a set could not be used (a module
  /// was altered, say), or dsv4diff itself is at fault (InternalError). Empty if all is well.
  std::string failure;
  double seconds = 0;
};

/// Returns the ids of cases one by one; nullopt when there are no more.
using CaseSource = std::function<std::optional<std::string>()>;

SweepResult sweep(const SweepOptions& options, const CaseSource& next);

/// A source that returns these ids in order.
CaseSource source_of(std::vector<std::string> ids);

}  // namespace dsv4
