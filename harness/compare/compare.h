/// Compares outputs within their tolerances, element by element and never by a measure of the whole tensor.
#pragma once

#include "harness/call/output.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Compares `got` with `want`. `scale` multiplies the bound of kBound. It is 2 if both sides are kernels, because each
/// may have its own error. If shapes or dtypes differ, the report has one violation and no compared element.
OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0);

/// Compares all outputs of `got` with those of the same name in `want`. An output that only one side has is a
/// violation.
std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale = 1.0);

/// The report of an output that cannot be compared, with the reason: one violation and no compared element.
OutputReport incomparable(const std::string& name, const std::string& reason);

}  // namespace dsv4
