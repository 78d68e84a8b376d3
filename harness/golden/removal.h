/// Finds the cases that a recording would remove from a golden only because it covers a lower tier.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"
#include "harness/op/op.h"

namespace dsv4 {

/// Returns the cases of a tier that can have goldens: all cases that are not scenarios.
std::vector<Case> recordable_cases(const Op& op, Tier tier);

/// Cases of a golden that a recording of a tier would remove, although higher tiers of the op contain them.
struct HigherTiers {
  std::size_t cases = 0;       ///< number of these cases
  Tier enough = Tier::kSmoke;  ///< the lowest tier that contains all of them
};

/// Finds the HigherTiers of a golden for a recording of `tier`. A case that no tier contains any more does not count.
/// It is missing because the op's points changed, and the recording brings the golden up to date.
HigherTiers beyond(const Golden& golden, const Op& op, Tier tier);

/// Throws Error if a recording of `tier` of these ops would remove cases of higher tiers from goldens of `set` under
/// `root`. Goldens that cannot be read do not count, because the recording replaces them.
void require_no_higher_tiers(const std::string& root, const std::string& set, const std::vector<const Op*>& ops,
                             Tier tier);

}  // namespace dsv4
