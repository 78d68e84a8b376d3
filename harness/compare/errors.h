/// Collects statistics of the errors of an output against the reference (harness/verdict/errors.h).
#pragma once

#include <optional>
#include <vector>

#include "harness/call/output.h"
#include "harness/compare/excuse.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Returns the statistics of `got` against `want`, the output of the reference. Returns nullopt if the output is exact,
/// because its errors are faults, or if shapes or dtypes differ. Excused elements are left out.
std::optional<ErrorStatistics> error_statistics(const Output& got, const Output& want, const Tolerance& tolerance,
                                                const ExcusedElements& excused = {});

/// Adds the statistics to the reports of all outputs that have them. `reports` come from compare_outputs() with the
/// same arguments.
void add_errors(std::vector<OutputReport>& reports, const Observation& got, const Observation& want,
                const Tolerances& tolerances, const std::vector<Excuse>& excuses);

/// Compares two outputs of the same inputs, each with its own tolerance against `want`. An element counts only if both
/// sides are finite and it is not excused. Fills all fields but `other_violations`. Returns nullopt in the same cases.
std::optional<PairedErrors> paired_errors(const Output& got, const Tolerance& tolerance, const Output& other,
                                          const Tolerance& other_tolerance, const Output& want,
                                          const ExcusedElements& excused = {});

}  // namespace dsv4
