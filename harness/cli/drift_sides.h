/// The sides of `dsv4diff drift`, and the sweeps that compare them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/set_options.h"
#include "harness/cli/sweep_options.h"
#include "harness/drift/drift.h"
#include "harness/run/select.h"

namespace dsv4 {

/// A kernel set, or the results of a set that were kept in a file.
struct DriftSide {
  std::string label;                ///< as the user named it
  std::optional<ChosenSet> set;     ///< absent for a file
  std::vector<CaseResult> results;  ///< of a file, sorted by id

  [[nodiscard]] bool is_file() const { return !set; }
};

/// Finds the sides. A name of a regular file is a results file. Throws Error if there is no such set, if the file has
/// no statistics of errors, if it has the results of several sets, or if a side is given twice.
std::vector<DriftSide> sides_of(const std::vector<std::string>& names);

/// Runs the cases.
struct DriftSweeps {
  const WorkerOptions& workers;
  Journal& journal;
  const CaseFilter& filter;
  const std::vector<std::string>& ids;  ///< in running order
  std::string failure{};                ///< why the results may say nothing about kernels; "" if there is no reason

  /// Compares each set with the first one, element by element.
  std::vector<PairDrift> of_sets(const std::vector<DriftSide>& sides);
  /// Compares each side with the first one. Sets are swept alone. Of the files, only the cases of the sets are
  /// compared; without a set, those that the filter selects, of any tier and seed.
  std::vector<PairDrift> of_runs(std::vector<DriftSide> sides);

 private:
  std::vector<CaseResult> sweep_one(const ChosenSet& set, const ChosenSet& against, std::vector<std::string> cases,
                                    const char* mode, const std::vector<std::string>& reproduce);
};

}  // namespace dsv4
