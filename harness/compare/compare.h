/// Comparison of outputs under their tolerances: element by element, never by a whole-tensor measure.
#pragma once

#include "harness/call/output.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Compares `got` with `want`. `scale` multiplies a kBound (2 when both sides are kernels, each allowed its own error).
/// Shapes or dtypes that differ are a violation with no element compared.
OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0);

/// Compares all outputs of `got` with those of the same name in `want`. An output that only one side has is a
/// violation.
std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale = 1.0);

/// The report of an output that cannot be compared, for this reason: one violation, no element compared.
OutputReport incomparable(const std::string& name, const std::string& reason);

}  // namespace dsv4
