/// One set swept: cases through the pool, with journal and progress, into results.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/run/journal.h"
#include "harness/run/known_faults.h"
#include "harness/run/progress.h"
#include "harness/verdict/result.h"
#include "harness/workers/pool.h"

namespace dsv4 {

struct SweepOptions {
  std::string set;       ///< as results name it
  std::string set_name;  ///< in its manifest
  std::string against;   ///< the other side, likewise
  /// The words of a command that runs one of these cases again, up to its --case ID.
  std::vector<std::string> reproduce;
  PoolOptions pool;
  Progress::Options progress;
  Journal* journal = nullptr;
  /// Turns a worker's answer into a result; the default reads a CaseResult. May throw: the case becomes an error.
  std::function<CaseResult(const nlohmann::json& answer)> read;
  /// Known faults that may excuse a case whose worker died ("crash"); a worker that answers has applied them itself.
  KnownFaults known;
};

struct SweepResult {
  std::vector<CaseResult> results;  ///< sorted by id
  PoolEnd end;
  /// Why results cannot be trusted to be about kernels: workers could not be started, or the harness could not go on in
  /// a case (a module was altered, say). Empty if all is well.
  std::string failure;
  double seconds = 0;
};

/// The key in an answer that says that the harness itself could not go on; its case is an error then.
constexpr const char* kEnvironmentAtFault = "environment_at_fault";

/// Cases one by one; nullopt when there are no more.
using CaseSource = std::function<std::optional<std::string>()>;

SweepResult sweep(const SweepOptions& options, const CaseSource& next);

/// Hands out these ids in order.
CaseSource source_of(std::vector<std::string> ids);

}  // namespace dsv4
