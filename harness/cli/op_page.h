/// The pages that `dsv4diff ops` prints.
#pragma once

#include <string>
#include <vector>

#include "harness/cli/op_facts.h"
#include "harness/op/op.h"
#include "harness/report/layout.h"
#include "harness/sets/set.h"

namespace dsv4 {

/// Returns the names of the sets that have an op.
std::vector<std::string> sets_with(const std::vector<Manifest>& sets, const std::string& op);

/// A table of ops with their numbers of cases and the sets that have them.
std::string ops_table(const std::vector<const Op*>& ops, const std::vector<Manifest>& sets, const Layout& layout);

/// Everything about one op: parameters, arguments, outputs with their tolerances, and checks.
std::string op_page(const Op& op, const std::vector<OutputFacts>& outputs, const std::vector<Manifest>& sets,
                    const Layout& layout);

}  // namespace dsv4
