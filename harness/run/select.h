/// Selects the cases of a run.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/op/op.h"

namespace dsv4 {

/// A case is selected if it passes every filter.
struct CaseFilter {
  std::vector<std::string> ops = {};       ///< globs of op names; if empty, every op
  std::vector<std::string> cases = {};     ///< ids, or globs of ids; if empty, every case of the tier
  std::vector<std::string> excludes = {};  ///< globs of op names or of ids; these cases are left out
  Tier tier = Tier::kQuick;
  std::uint64_t seed = 1;
  Shard shard = {};
  bool own_seeds = false;  ///< each case of the tier gets its own seed (own_seed.h), which follows from its id
};

/// Returns the ops that match a glob, sorted by name. If a glob matches no op, throws an Error with a suggestion.
std::vector<const Op*> select_ops(const std::vector<std::string>& globs);

/// True if a glob of `excludes` matches the case's id or the name of its op.
bool excluded(const CaseFilter& filter, const std::string& id);
/// The same. Removes each glob that matches from `unmatched`.
bool excluded(const CaseFilter& filter, const std::string& id, std::set<std::string>& unmatched);
/// Throws Error if a glob of `excludes` has matched no case, because it is probably mistyped.
void require_matched_excludes(const std::set<std::string>& unmatched);

/// Returns the selected cases, sorted by id. For an id without wildcards, the tier and the seed of the filter do not
/// matter. Throws Error for a bad id and for a glob that matches no case. Also throws Error if no case is selected.
std::vector<Case> select_cases(const CaseFilter& filter);

/// Returns the ids, with the most work first. Otherwise a worker could begin a long case when all other workers are
/// already idle.
std::vector<std::string> in_running_order(const std::vector<Case>& cases);

}  // namespace dsv4
