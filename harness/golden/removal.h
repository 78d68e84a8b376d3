/// What recording a tier would remove from a golden without having been asked to.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"
#include "harness/op/op.h"

namespace dsv4 {

/// The cases of a tier that have goldens: the op's own.
std::vector<Case> recordable_cases(const Op& op, Tier tier);

/// Cases of a golden that a recording of some tier leaves out, though the op has them in higher ones.
struct HigherTiers {
  std::size_t cases = 0;
  Tier enough = Tier::kSmoke;  ///< the lowest tier that has them all
};

/// Cases that the op has in no tier any more do not count: its points changed, and recording is how a golden follows.
HigherTiers beyond(const Golden& golden, const Op& op, Tier tier);

/// Throws Error if recording `tier` of these ops would remove cases of higher tiers from goldens of `set` under `root`.
/// Goldens that cannot be read do not count: recording is how they are repaired.
void require_no_higher_tiers(const std::string& root, const std::string& set, const std::vector<const Op*>& ops,
                             Tier tier);

}  // namespace dsv4
