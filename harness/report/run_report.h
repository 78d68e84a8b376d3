/// What one call of `run` or `verify` found out: the input of every report, and itself the JSON results file.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Results of one op or of all ops, counted.
struct Tally {
  std::array<std::size_t, 7> verdicts{};  ///< by Verdict
  double tightness = 0;                   ///< largest error over bound
  double seconds = 0;                     ///< spent in cases, over all workers

  void add(const CaseResult& result);
  [[nodiscard]] std::size_t of(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
  [[nodiscard]] std::size_t cases() const;
  /// Cases that make a run differ: failed, error, mistrusted.
  [[nodiscard]] std::size_t differing() const;
  /// Cases that were really run: all but unsupported and skipped.
  [[nodiscard]] std::size_t ran() const;
};

/// What became of a known fault in a run.
struct KnownFaultUse {
  std::size_t cases = 0;  ///< for which its conditions hold
  std::size_t shown = 0;  ///< in which it showed
};

/// One set, swept.
struct SetRun {
  std::string set_label;  ///< as the user named it, and results and reproduction commands do; "set" in JSON
  std::string set_name;   ///< in its manifest; "name" in JSON
  std::string against;    ///< set, or "golden:<set>"
  std::string device;
  std::map<std::string, std::string> provenance;
  std::vector<CaseResult> results;  ///< sorted by id
  double wall_seconds = 0;

  [[nodiscard]] std::map<std::string, Tally> by_op() const;
  [[nodiscard]] Tally total() const;
  [[nodiscard]] std::map<std::string, KnownFaultUse> known_faults() const;
  /// Why cases did not run (unsupported, skipped), and how many for each reason.
  [[nodiscard]] std::map<std::string, std::size_t> reasons_not_run() const;
};

struct RunReport {
  std::string command;                         ///< "run", "verify", "merge"
  std::string version;                         ///< of the tool
  std::map<std::string, std::string> options;  ///< what selects and judges cases: equal in all shards of a run
  std::vector<Shard> shards;                   ///< the parts that this report holds
  std::vector<SetRun> runs;
  double wall_seconds = 0;
  int jobs = 0;
  int signal = 0;           ///< that ended it early
  bool open_ended = false;  ///< a soak: being stopped is how it ends
  std::string failure;      ///< why it is not about kernels: workers cannot be started, an internal error, ...

  [[nodiscard]] Tally total() const;
};

/// 0 agrees, 1 differs, 2 could not be done (failure, or no case could be run), 128 + signal when interrupted.
int exit_status(const RunReport& report);
/// One line: "agrees: 514 cases, 12 of them with known faults".
std::string verdict_line(const RunReport& report);

/// The version of the results file that is written; readers refuse newer ones.
constexpr int kResultsSchema = 1;

void to_json(nlohmann::json& j, const RunReport& report);
/// Throws Error or nlohmann::json::exception for anything malformed.
void from_json(const nlohmann::json& j, RunReport& report);

/// The text of a results file.
std::string results_json(const RunReport& report);
/// Reads a results file. Throws Error that names the file and says what is wrong.
RunReport read_results(const std::string& path);

}  // namespace dsv4
