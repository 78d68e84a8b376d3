/// How the elements of one case move from one set to another.
#pragma once

#include "harness/drift/drift.h"

namespace dsv4 {

/// Adds the movement of a case to the output. Without movement, nothing is added: the case is the same on both sides,
/// whatever side is called the first.
void add_movement(OutputDrift& output, const PairedErrors& paired);

/// The same from the statistics of both sides, whose elements are not paired. The sum is exact. The rest is bounded
/// from above: |x - y| <= |x| + |y|, and (x - y)^2 <= 2 x^2 + 2 y^2.
void add_movement(OutputDrift& output, const ErrorStatistics& a, const ErrorStatistics& b);

}  // namespace dsv4
