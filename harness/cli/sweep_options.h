/// Options and helpers of the commands that run cases in worker processes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/cli/screen.h"
#include "harness/cli/set_options.h"
#include "harness/report/run_report.h"
#include "harness/run/sweep.h"

namespace dsv4 {

/// Path of the list of known faults that comes with the tool; nullopt if there is none.
std::optional<std::string> default_known_faults();

/// The options --jobs, --timeout, --memory, --journal, --known and --no-known.
class WorkerOptions {
 public:
  void add(CLI::App& app);
  /// Adds --fail-fast and --resume, for commands that need not run every case.
  void add_ends(CLI::App& app);

  /// Returns the number of workers for this set.
  [[nodiscard]] int jobs(const ChosenSet& set) const;
  /// Returns the options for a sweep of `set`. `against_label` names the other side. `mode` holds the words of the
  /// command line that tell a worker what to do. `reproduce` holds the words of a command that runs one case again,
  /// such as "run --set host". Options of this class that may change a verdict are added to these words. Throws Error
  /// if the list of known faults cannot be read, or if the journal to resume is of another command.
  [[nodiscard]] SweepOptions sweep_options(const ChosenSet& set, const std::string& against_label,
                                           const std::vector<std::string>& mode,
                                           const std::vector<std::string>& reproduce) const;
  /// Reads the journal that --resume names. Then opens the journal: the file that --journal names, or a temporary file.
  /// Call it before sweep_options().
  [[nodiscard]] std::unique_ptr<Journal> journal();
  [[nodiscard]] bool fail_fast() const { return fail_fast_; }
  /// The file that --resume names; "" if the option was not given.
  [[nodiscard]] const std::string& resumed_file() const { return resume_; }
  [[nodiscard]] bool keep_known() const { return !no_known_; }
  /// The file that --journal names; "" if the option was not given.
  [[nodiscard]] const std::string& journal_file() const { return journal_; }

 private:
  /// Returns the path of the list of known faults; nullopt if there is no list.
  [[nodiscard]] std::optional<std::string> known_faults() const;
  /// Returns the words of those options that may change a verdict and do not have their default value.
  [[nodiscard]] std::vector<std::string> deviations() const;
  void identify(SweepOptions& o, const ChosenSet& set, const std::vector<std::string>& mode,
                const std::vector<std::string>& reproduce) const;

  int jobs_ = 0;
  static constexpr double kTimeoutSeconds = 60;
  static constexpr double kMemoryGib = 4;

  double timeout_seconds_ = kTimeoutSeconds;
  double memory_gib_ = kMemoryGib;
  std::string journal_;
  std::string known_;
  bool no_known_ = false;
  bool fail_fast_ = false;
  std::string resume_;
  std::vector<JournalSweep> resumed_;
  mutable bool found_own_ = false;  ///< a sweep of this command is in the journal to resume
};

/// The option --exact, of the commands that compare with the bits of a kernel set or a golden.
class ExactOption {
 public:
  void add(CLI::App& app);
  [[nodiscard]] bool given() const { return exact_; }
  /// Adds the option to the words that tell a worker what to do, and to those of a command that runs a case again.
  void add_to(std::vector<std::string>& mode, std::vector<std::string>& reproduce) const;

 private:
  bool exact_ = false;
};

/// The option --show.
void add_show(CLI::App& app, std::optional<std::size_t>& shown);

/// The options --json, --junit, --markdown, --show and --color.
class ReportOptions {
 public:
  void add(CLI::App& app);
  /// Throws Error if it is already clear that a report cannot be written. Also throws Error if a report would replace
  /// another report or one of `others`. `others` are the other files that the command reads or writes. Each is a pair:
  /// the name of its option, and its path.
  void check(std::vector<std::pair<std::string, std::string>> others = {}) const;
  /// Writes report files that say that the run did not finish. Call this before the first case runs: if the run is
  /// killed, the report of an earlier run must not stay. `report` holds what is known of the run so far. Throws Error
  /// if a file cannot be written.
  void begin(RunReport report) const;
  /// Prints the report and writes the report files. Returns the exit status of the report, or 2 if a file could not
  /// be written.
  [[nodiscard]] int publish(const RunReport& report) const;

 private:
  /// The report files that were asked for: the path of each, and the function that makes its text.
  [[nodiscard]] std::vector<std::pair<std::string, std::string (*)(const RunReport&)>> files() const;

  std::string json_;
  std::string junit_;
  std::string markdown_;
  bool verbose_ = false;
  std::optional<std::size_t> shown_;
  ScreenOptions screen_;
};

/// Throws SetError if a module that these cases may need is missing or was changed. Otherwise every worker would report
/// this for every case.
void require_intact_sets(const std::vector<const Manifest*>& sets, const std::vector<std::string>& ids);

/// Returns what the reader must know about a pair of sets: they are one set, have the same modules or the same name.
std::vector<std::string> describe_pair(const Manifest& set, const Manifest& against);

/// Returns the part of the report for one sweep, still without results.
SetRun describe_run(const ChosenSet& set, const std::string& against_label, const Policy& policy);

/// Returns `status`. If the journal that the user named could not be written, prints a message and returns 2.
int with_journal(int status, const Journal& journal);

/// Writes a line to standard error that says what will be run.
void announce(const ChosenSet& set, const std::string& against_label, std::optional<std::size_t> cases,
              const SweepOptions& options);

}  // namespace dsv4
