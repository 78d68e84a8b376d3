/// Tells which of upstream's source files no module of a set includes, and which of its functions no op calls. No case
/// can show a fault in them.
#pragma once

#include <string>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {

/// One line with the set's name, the number of uncovered source files and their paths; empty if there are none.
std::string coverage_summary(const Manifest& manifest);

/// A line for each source file with functions that no rule maps to an op: "unmapped: FILE: exported functions".
std::vector<std::string> unmapped_functions(const Manifest& manifest);

/// A line for each uncovered source file that differs from the release that the set's sources descend from: such a
/// change is tried by no case, so a pass says nothing about it.
std::vector<std::string> coverage_warnings(const Manifest& manifest);

}  // namespace dsv4
