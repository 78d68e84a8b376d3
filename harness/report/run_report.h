/// Holds the results of one `run`, `verify` or `merge`. Every report is made from these results, and the JSON results
/// file contains them.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Counts of the results of one op or of all ops.
struct Tally {
  std::array<std::size_t, 7> verdicts{};  ///< number of cases with each Verdict
  double tightness = 0;                   ///< largest error/bound in passed cases
  double seconds = 0;                     ///< time of all cases, summed over all workers
  std::size_t bits_compared = 0;  ///< number of cases whose outputs were compared with the bits of a set or a golden
  std::size_t same_bits = 0;      ///< those of them in which no bit differs
  std::map<std::string, std::size_t> changes;  ///< number of cases with each CaseResult::change

  void add(const CaseResult& result);
  [[nodiscard]] std::size_t of(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
  [[nodiscard]] std::size_t cases() const;
  /// Number of cases whose verdict makes a run differ: failed, error or mistrusted.
  [[nodiscard]] std::size_t differing() const;
  /// Number of cases that ran: all except unsupported and skipped ones.
  [[nodiscard]] std::size_t ran() const;
};

/// How often a known fault showed in a run.
struct KnownFaultUse {
  std::size_t cases = 0;  ///< cases for which the fault's conditions hold
  std::size_t shown = 0;  ///< cases in which the fault showed
};

/// Names of things that a sweep could not try, by their kind (see kUncoveredKinds).
using NotCovered = std::map<std::string, std::set<std::string>>;

/// The results of one sweep of one set.
struct SetRun {
  std::string set_label;  ///< the name that the user gave, which results and printed commands use; "set" in JSON
  std::string set_name;   ///< the name in the set's manifest; "name" in JSON
  std::string against;    ///< the other side: a set, or "golden:<set>"
  std::string baseline;   ///< the set that --baseline names, which was compared with `against` too; "" if none
  std::string device;
  std::map<std::string, std::string> provenance;
  /// kind of each known fault: "fault", "variant" or "undefined"
  std::map<std::string, std::string> known_kinds;
  /// known faults that explain nothing because the set edited a source file -> "FILE differs from sglang 0.5.13"
  std::map<std::string, std::string> edited_faults;
  std::vector<CaseResult> results;  ///< sorted by id
  NotCovered not_covered;
  std::vector<std::string> warnings;  ///< what a reader must know besides the verdict, one line each
  double wall_seconds = 0;

  [[nodiscard]] std::map<std::string, Tally> by_op() const;
  [[nodiscard]] Tally total() const;
  [[nodiscard]] std::map<std::string, KnownFaultUse> known_faults() const;
  /// Number of cases that failed, and that each of `edited_faults` would have explained.
  [[nodiscard]] std::map<std::string, std::size_t> not_excused() const;
  /// Returns each reason why cases did not run (unsupported, skipped), with the number of cases.
  [[nodiscard]] std::map<std::string, std::size_t> reasons_not_run() const;
  /// What scenarios told about what they covered: each sentence, and the number of cases.
  [[nodiscard]] std::map<std::string, std::size_t> told() const;
  /// Returns each note of passed and known cases, with the number of cases.
  [[nodiscard]] std::map<std::string, std::size_t> notes_of_agreeing() const;
};

struct RunReport {
  std::string command;                         ///< "run", "verify", "merge"
  std::string version;                         ///< version of the tool
  std::map<std::string, std::string> options;  ///< options that select cases or affect verdicts; equal in all shards
  std::vector<Shard> shards;                   ///< the shards whose results this report holds
  std::vector<SetRun> runs;
  double wall_seconds = 0;
  int jobs = 0;
  int signal = 0;            ///< signal that ended the run early; 0 if none
  bool open_ended = false;   ///< true for a soak, which may be ended by a signal
  std::string failure;       ///< why the results may say nothing about kernels, such as an internal error; "" if none
  bool require_all = false;  ///< --require-all: an op or a case without a golden makes the run differ
  bool unfinished = false;   ///< the run has only begun; if a file says this, its run was killed or is still running

  [[nodiscard]] Tally total() const;
};

/// Returns the exit status. 0: all cases agree. 1: some cases differ. 2: the run failed, or no case could be run. 128 +
/// signal: the run was interrupted. 1 also if --require-all was given and an op or a case has no golden.
int exit_status(const RunReport& report);
/// Returns the verdict in one line, for example "agrees: 258 cases, 12 known (4.2 s); same bits in 12 of 246 cases;
/// NOT COVERED: 11 source files in no module, 16 sequences unsupported". The first number counts the cases that ran.
std::string verdict_line(const RunReport& report);

/// Version of the format of results files. Readers refuse every other version.
constexpr int kResultsSchema = 2;

void to_json(nlohmann::json& j, const RunReport& report);
/// Throws Error or nlohmann::json::exception if the JSON is malformed.
void from_json(const nlohmann::json& j, RunReport& report);

/// Returns the text of a results file.
std::string results_json(const RunReport& report);
/// Reads a results file. If this fails, throws an Error that names the file and says what is wrong.
RunReport read_results(const std::string& path);

}  // namespace dsv4
