/// The options of commands that run cases in worker processes, and what those commands have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/report/run_report.h"
#include "harness/run/sweep.h"
#include "harness/set/set.h"

namespace dsv4 {

/// A set to be swept: as the user named it, and what that is.
struct ChosenSet {
  std::string label;
  Manifest manifest;
};

/// Finds a set and makes sure that it can run here. Throws Error.
ChosenSet choose_set(const std::string& name_or_path);
/// The sets that were named, each once; without any, `cuda` where a GPU is and else `host`.
std::vector<ChosenSet> choose_sets(const std::vector<std::string>& names);

/// --jobs, --timeout, --memory, --journal, --known and --no-known.
class WorkerOptions {
 public:
  void add(CLI::App& app);

  /// Workers to be used for sets on these devices.
  [[nodiscard]] int jobs(const ChosenSet& set) const;
  /// How a sweep of `set` against `against` is run. `mode` are the words that tell the worker what to do.
  [[nodiscard]] SweepOptions sweep_options(const ChosenSet& set, const std::string& against_label,
                                           const std::vector<std::string>& mode) const;
  /// Opens the journal that the options ask for.
  [[nodiscard]] std::unique_ptr<Journal> journal() const;
  /// The list of known faults that applies; nullopt for none. Throws Error if the one that was named is unreadable.
  [[nodiscard]] std::optional<std::string> known_faults() const;
  [[nodiscard]] bool keep_known() const { return !no_known_; }

 private:
  int jobs_ = 0;
  double timeout_seconds_ = 60;
  double memory_gib_ = 4;
  std::string journal_;
  std::string known_;
  bool no_known_ = false;
};

/// --json, --junit, --markdown and --show.
class ReportOptions {
 public:
  void add(CLI::App& app);
  /// Throws Error if a file could not be written later, for a reason that can be seen now.
  void check() const;
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

/// Says on standard error what is about to be run.
void announce(const ChosenSet& set, const std::string& against_label, std::optional<std::size_t> cases,
              const SweepOptions& options);

}  // namespace dsv4
