/// Sweeps of `run` that tell what two kernel sets do alike.
#pragma once

#include <string>
#include <vector>

#include "harness/cli/sweep_options.h"

namespace dsv4 {

/// Runs the cases of `swept` that differ once more, with `against` in both roles, and excuses those in which both sides
/// are wrong alike (harness/run/changes.h). A failure of these sweeps becomes the failure of `swept`.
void excuse_what_is_alike(SweepResult& swept, const ChosenSet& set, const ChosenSet& against,
                          const WorkerOptions& workers, Journal& journal);

/// A set that --baseline names, and its results.
class Baseline {
 public:
  /// Compares the set with the reference. `cases` are all cases of the run.
  Baseline(const ChosenSet& set, const std::vector<std::string>& cases, const WorkerOptions& workers, Journal& journal);

  /// Judges the results of another set, which was compared with the reference, again (harness/run/changes.h).
  void judge(SweepResult& swept, const ChosenSet& set) const;

 private:
  const ChosenSet& set_;
  const WorkerOptions& workers_;
  Journal& journal_;
  SweepResult results_;
};

/// Returns the options of a sweep that `run --set SET --against AGAINST` makes. `more` is appended to the words of the
/// command that runs a case again.
SweepOptions options_against(const ChosenSet& set, const ChosenSet& against, const WorkerOptions& workers,
                             std::vector<std::string> more = {}, const ExactOption& exact = {});

/// True if the set is the reference, under whatever name it was given.
bool is_reference(const ChosenSet& set);

}  // namespace dsv4
