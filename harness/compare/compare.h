/// Compares outputs element by element, each within its tolerance. A measure of the whole tensor is never used.
#pragma once

#include "harness/call/output.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Compares `got` with `want`. `scale` multiplies the bound of Tolerance::Kind::kBound. It is 2 if both sides are
/// kernels, because each side may have its own error. If shapes or dtypes differ, the report has one violation and no
/// compared element. With `exact`, every element with other bits is a violation; the tolerance then only says how far
/// the element is.
OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0,
                            bool exact = false);

/// Compares each output of `got` with the output of the same name in `want`. An output that only one side has is
/// a violation.
std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale = 1.0, bool exact = false);

/// Makes the report of an output that cannot be compared. It has one violation, no compared element, and this reason.
OutputReport incomparable(const std::string& name, const std::string& reason);

}  // namespace dsv4
