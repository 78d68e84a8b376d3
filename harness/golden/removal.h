/// Finds cases that recording a tier would remove from a golden although nobody asked for it.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"
#include "harness/op/op.h"

namespace dsv4 {

/// The cases of a tier that can have goldens: the op's own calls, not its scenarios.
std::vector<Case> recordable_cases(const Op& op, Tier tier);

/// Cases of a golden that a recording of a tier leaves out although higher tiers of the op have them.
struct HigherTiers {
  std::size_t cases = 0;
  Tier enough = Tier::kSmoke;  ///< the lowest tier that has all of them
};

/// Finds such cases for a recording of `tier`. A case that is in no tier any more does not count: the op's points
/// changed, and recording brings the golden up to date.
HigherTiers beyond(const Golden& golden, const Op& op, Tier tier);

/// Throws Error if recording `tier` of these ops would remove cases of higher tiers from goldens of `set` under `root`.
/// Goldens that cannot be read do not count, because recording repairs them.
void require_no_higher_tiers(const std::string& root, const std::string& set, const std::vector<const Op*>& ops,
                             Tier tier);

}  // namespace dsv4
