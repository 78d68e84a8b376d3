/// The report of `dsv4diff drift` for a terminal.
#pragma once

#include <string>
#include <vector>

#include "harness/drift/drift.h"
#include "harness/report/layout.h"

namespace dsv4 {

/// A table of the outputs that differ, and the details of each output with a shift. With `all`, the details of every
/// output. The last lines say what was not compared, and give the verdict.
std::string drift_text(const std::vector<PairDrift>& pairs, const Layout& layout, bool all);

}  // namespace dsv4
