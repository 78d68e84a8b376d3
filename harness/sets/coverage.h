/// Tells which of upstream's source files no module of a set includes. No case can show a fault in such a file.
#pragma once

#include <string>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {

/// One line with the set's name, the number of uncovered source files and their paths; empty if there are none.
std::string coverage_summary(const Manifest& manifest);

/// A line for each uncovered source file that no rule maps to an op: "unmapped: FILE: exported functions".
std::vector<std::string> unmapped_sources(const Manifest& manifest);

/// A line for each uncovered source file that differs from the release that the set's sources descend from: such a
/// change is tried by no case, so a pass says nothing about it.
std::vector<std::string> coverage_warnings(const Manifest& manifest);

}  // namespace dsv4
