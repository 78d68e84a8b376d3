/// What the definition of an op says about its outputs and checks.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// One canonical output of an op.
struct OutputFacts {
  std::string name;
  std::string dtype;
  std::size_t dims = 0;              ///< number of dimensions
  std::set<std::string> tolerances;  ///< "bound: <formula>"; most outputs have one tolerance for all cases
};

/// Returns the outputs of an op and their tolerances, in the op's order. They are found by calls of the reference with
/// the cases of the smoke tier. Throws Error if a call is refused.
std::vector<OutputFacts> outputs_of(const Op& op, Caller& reference);

/// The names in OpInfo::upstream: functions that call the op, and functions that make its module.
std::vector<std::string> upstream_names(const Op& op);

/// True if the check is declared by the op itself; false if the harness derives it.
bool is_own_check(const Op& op, const Scenario& scenario);

}  // namespace dsv4
