/// Compares outputs element by element, each within its tolerance. A measure of the whole tensor is never used.
#pragma once

#include <cstdint>

#include "harness/call/output.h"
#include "harness/compare/excuse.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// True if element i of `got` is within the tolerance of element j of `want`. The tensors of the tolerance belong to
/// `want`, and have its shape.
bool agrees(const HostTensor& got, std::int64_t i, const HostTensor& want, std::int64_t j, const Tolerance& tolerance,
            double scale = 1.0);

/// Compares `got` with `want`. `scale` multiplies the bound of Tolerance::Kind::kBound. It is 2 if both sides are
/// kernels, because each side may have its own error. An element that is excused is not a violation. It is counted
/// separately (OutputReport::excused). If shapes or dtypes differ, the report has one violation and no compared
/// element. With `exact`, every element with other bits is a violation; the tolerance then only says how far the
/// element is.
OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0,
                            const ExcusedElements& excused = {}, bool exact = false);

/// The same for keyed outputs too: joins their records first (join_records). A record that one side does not have is a
/// violation in each of its elements.
OutputReport compare_records(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0,
                             const std::vector<Excuse>& excuses = {}, bool exact = false);

/// Compares each output of `got` with the output of the same name in `want`, as compare_records() does. An output that
/// only one side has is a violation.
std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale = 1.0, const std::vector<Excuse>& excuses = {},
                                          bool exact = false);

/// "exact", "exact_nan", "bound" or "interval".
const char* name_of_kind(Tolerance::Kind kind);

/// Distance of two elements in units of the last place. It is 0 if a value is NaN, because NaN has no place in the
/// order.
std::int64_t ulp_distance(DType dtype, const std::uint8_t* a, const std::uint8_t* b);

/// Makes the report of an output that cannot be compared. It has one violation, no compared element, and this reason.
OutputReport incomparable(const std::string& name, const std::string& reason);

}  // namespace dsv4
