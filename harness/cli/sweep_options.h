/// The options of commands that run cases in worker processes, and what those commands have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/cli/set_options.h"
#include "harness/report/run_report.h"
#include "harness/run/sweep.h"

namespace dsv4 {

/// --jobs, --timeout, --memory, --journal, --known and --no-known.
class WorkerOptions {
 public:
  void add(CLI::App& app);

  /// Workers to be used for sets on these devices.
  [[nodiscard]] int jobs(const ChosenSet& set) const;
  /// How a sweep of `set` against `against` is run. `mode` are the words that tell the worker what to do; `reproduce`
  /// those that, with the options of this class, run one of the cases again: "run --set host". Throws Error if the list
  /// of known faults is unreadable.
  [[nodiscard]] SweepOptions sweep_options(const ChosenSet& set, const std::string& against_label,
                                           const std::vector<std::string>& mode,
                                           const std::vector<std::string>& reproduce) const;
  /// Opens the journal that the options ask for.
  [[nodiscard]] std::unique_ptr<Journal> journal() const;
  [[nodiscard]] bool keep_known() const { return !no_known_; }
  /// File that was asked for with --journal; "" for none.
  [[nodiscard]] const std::string& journal_file() const { return journal_; }

 private:
  /// The list of known faults that applies; nullopt for none.
  [[nodiscard]] std::optional<std::string> known_faults() const;
  /// Options that were given another value than their default and that may change a verdict, as words.
  [[nodiscard]] std::vector<std::string> deviations() const;

  int jobs_ = 0;
  static constexpr double kTimeoutSeconds = 60;
  static constexpr double kMemoryGib = 4;

  double timeout_seconds_ = kTimeoutSeconds;
  double memory_gib_ = kMemoryGib;
  std::string journal_;
  std::string known_;
  bool no_known_ = false;
};

/// --json, --junit, --markdown and --show.
class ReportOptions {
 public:
  void add(CLI::App& app);
  /// Throws Error if a file could not be written later, for a reason that can be seen now, or would take the place of
  /// another one or of `others`: files that the command reads or writes, by the name of their option.
  void check(std::vector<std::pair<std::string, std::string>> others = {}) const;
  /// Prints the report and writes the files. Returns the exit status: the report's, or 2 if a file could not be
  /// written.
  [[nodiscard]] int publish(const RunReport& report) const;

 private:
  std::string json_;
  std::string junit_;
  std::string markdown_;
  std::size_t shown_ = 20;
};

/// The report's entry of a sweep, still without results.
SetRun describe_run(const ChosenSet& set, const std::string& against_label);

/// `status`, or 2 if a journal that was asked for could not be kept, which is then said.
int with_journal(int status, const Journal& journal);

/// Says on standard error what is about to be run.
void announce(const ChosenSet& set, const std::string& against_label, std::optional<std::size_t> cases,
              const SweepOptions& options);

}  // namespace dsv4
