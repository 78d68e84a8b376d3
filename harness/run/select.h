/// Which cases a run consists of.
#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/op/op.h"

namespace dsv4 {

/// A case is selected if it passes every filter.
struct CaseFilter {
  std::vector<std::string> ops = {};    ///< globs of op names; none: every op
  std::vector<std::string> cases = {};  ///< ids, or globs of ids; none: every case of the tier
  Tier tier = Tier::kQuick;
  std::uint64_t seed = 1;
  Shard shard = {};
};

/// Ops that match the globs, sorted. Throws Error, with a suggestion, for a glob that matches none.
std::vector<const Op*> select_ops(const std::vector<std::string>& globs);

/// Selected cases, sorted by id. An id without '*' and '?' names its case whatever tier and seed say. Throws Error for
/// a bad id, for a glob that matches nothing, and if no case at all is selected.
std::vector<Case> select_cases(const CaseFilter& filter);

/// How much work a case probably is, from the sizes in its parameters. Only good for ordering.
double expected_work(const Case& c);

/// Ids, the most work first, so that no worker begins a long case when the others are done.
std::vector<std::string> in_running_order(const std::vector<Case>& cases);

}  // namespace dsv4
