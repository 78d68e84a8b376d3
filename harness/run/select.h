/// Selects the cases of a run.
#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/op/op.h"

namespace dsv4 {

/// A case is selected if it passes every filter.
struct CaseFilter {
  std::vector<std::string> ops = {};    ///< globs of op names; if empty, every op
  std::vector<std::string> cases = {};  ///< ids, or globs of ids; if empty, every case of the tier
  Tier tier = Tier::kQuick;
  std::uint64_t seed = 1;
  Shard shard = {};
};

/// Ops that match the globs, sorted. Throws Error, with a suggestion, for a glob that matches none.
std::vector<const Op*> select_ops(const std::vector<std::string>& globs);

/// Selected cases, sorted by id. An id without wildcards names its case, whatever tier and seed are. Throws Error for a
/// bad id, for a glob that matches nothing, and if no case at all is selected.
std::vector<Case> select_cases(const CaseFilter& filter);

/// Estimates the work of a case from the sizes in its parameters. It is only good for ordering.
double expected_work(const Case& c);

/// Ids with the most work first, so that no worker begins a long case when the others are done.
std::vector<std::string> in_running_order(const std::vector<Case>& cases);

}  // namespace dsv4
