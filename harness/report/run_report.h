/// The results of one call of `run`, `verify` or `merge`. Every report is made from them, and the JSON results file
/// holds them.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Counts of the results of one op or of all ops.
struct Tally {
  std::array<std::size_t, 7> verdicts{};  ///< number of cases, by Verdict
  double tightness = 0;                   ///< largest error over bound in passed cases
  double seconds = 0;                     ///< time of all cases, summed over all workers

  void add(const CaseResult& result);
  [[nodiscard]] std::size_t of(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
  [[nodiscard]] std::size_t cases() const;
  /// Number of cases that make a run differ: failed, error, mistrusted.
  [[nodiscard]] std::size_t differing() const;
  /// Number of cases that were really run: all except unsupported and skipped.
  [[nodiscard]] std::size_t ran() const;
};

/// How often a known fault showed in a run.
struct KnownFaultUse {
  std::size_t cases = 0;  ///< cases for which its conditions hold
  std::size_t shown = 0;  ///< cases in which it showed
};

/// The sweep of one set.
struct SetRun {
  std::string set_label;  ///< the name that the user gave; also in results and reproduction commands; "set" in JSON
  std::string set_name;   ///< its name in the manifest; "name" in JSON
  std::string against;    ///< the other side: a set, or "golden:<set>"
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
  std::string version;                         ///< version of the tool
  std::map<std::string, std::string> options;  ///< options for cases and verdicts; equal in all shards of a run
  std::vector<Shard> shards;                   ///< the parts that this report holds
  std::vector<SetRun> runs;
  double wall_seconds = 0;
  int jobs = 0;
  int signal = 0;           ///< signal that ended the run early; 0 if none
  bool open_ended = false;  ///< true for a soak, which may be ended by a signal
  std::string failure;      ///< why the run could not be finished, e.g. workers cannot be started

  [[nodiscard]] Tally total() const;
};

/// 0: agrees. 1: differs. 2: failure, or no case could be run. 128 + signal: interrupted.
int exit_status(const RunReport& report);
/// One line: "agrees: 514 cases, 12 known (4.2 s)".
std::string verdict_line(const RunReport& report);

/// Version of the results file. Readers refuse every other version.
constexpr int kResultsSchema = 1;

void to_json(nlohmann::json& j, const RunReport& report);
/// Throws Error or nlohmann::json::exception for anything malformed.
void from_json(const nlohmann::json& j, RunReport& report);

/// The text of a results file.
std::string results_json(const RunReport& report);
/// Reads a results file. Throws an Error that names the file and says what is wrong.
RunReport read_results(const std::string& path);

}  // namespace dsv4
