/// Sweeps one set. Runs its cases in the pool of workers and collects the results. Writes the journal and shows
/// the progress.
#pragma once

#include <functional>
#include <map>
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

/// How differing cases are tried again after the sweep (confirm.h).
struct ConfirmOptions {
  std::size_t most = 20;         ///< number of cases; more if there are more kinds of differences. 0: no case
  double alone_seconds = 60;     ///< after this time, no further case is tried alone
  double search_seconds = 60;    ///< time for the search of sequences, over all cases
  std::size_t most_tries = 200;  ///< number of sequences that are tried for one case
};

struct SweepResult;

struct SweepOptions {
  SideNames names;
  /// The words of the command that runs a case again. The sweep appends --case ID, or --sequence ID for each case of a
  /// sequence.
  std::vector<std::string> reproduce;
  /// Returns a sentence that says how to find the instruction of a wrong memory access, for a case whose worker
  /// crashed. "" for no advice.
  std::function<std::string(const std::string& id)> crash_advice = [](const std::string&) { return std::string(); };
  PoolOptions pool;
  Progress::Options progress;
  Journal* journal = nullptr;
  /// Reads a worker's answer. If this function throws, the verdict of the case is `error`.
  std::function<CaseAnswer(const nlohmann::json& answer)> read = [](const nlohmann::json& answer) {
    return answer.get<CaseAnswer>();
  };
  /// Called with each answer of the sweep, but not with those of cases that are tried again afterwards. If this
  /// function throws, the verdict of the case is `error`.
  std::function<void(const CaseAnswer& answer)> on_answer = [](const CaseAnswer&) {};
  /// Known faults may cover a case whose worker died (check "crash"). If a worker answers, it has already applied the
  /// known faults.
  Policy policy;
  /// Called with the results, sorted by id, before differing cases are tried again. May change verdicts.
  std::function<void(SweepResult& swept)> judge = {};
  ConfirmOptions confirm;
  bool fail_fast = false;  ///< the sweep ends after the first case that differs
  /// Verdicts of an earlier run, by case id. These cases do not run again. Their results have no outputs.
  std::map<std::string, Verdict> earlier = {};
  std::string earlier_from = {};  ///< where these verdicts come from: "journal j"
  std::string identity = {};      ///< what the journal says about this sweep, so that it can be resumed (journal.h)
};

struct SweepResult {
  std::vector<CaseResult> results;  ///< sorted by id
  PoolEnd end;
  /// Why the results may say nothing about kernels; empty if there is no such reason. Either workers could not
  /// be started, or a set could not be used (for example because a module was altered), or dsv4diff itself is
  /// wrong (InternalError).
  std::string failure;
  double seconds = 0;
  /// What the reader must know beside the results, one sentence each.
  std::vector<std::string> notes;
};

/// Returns the ids of cases one by one; nullopt when there are no more.
using CaseSource = std::function<std::optional<std::string>()>;

/// Runs the cases. Then tries differing cases again, alone and in sequences (confirm.h).
SweepResult sweep(const SweepOptions& options, const CaseSource& next);

/// Runs the cases in this order in one new process. A case may occur twice; then the result is the first one that
/// differs. Cases that could not run, because the process had ended before, are `skipped`.
SweepResult sweep_sequence(const SweepOptions& options, const std::vector<std::string>& ids);

/// A source that returns these ids in order.
CaseSource source_of(std::vector<std::string> ids);

}  // namespace dsv4
