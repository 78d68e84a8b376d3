/// Comparison of one output under its tolerance: element by element, never by a whole-tensor measure.
#pragma once

#include "harness/call/output.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Compares `got` with `want`. `scale` multiplies a kBound (2 when both sides are kernels, each allowed its own error).
/// Shapes or dtypes that differ are a violation with no element compared.
OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale = 1.0);

}  // namespace dsv4
