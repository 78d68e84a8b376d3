#include "harness/golden/removal.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/golden/file.h"

namespace dsv4 {

std::vector<Case> recordable_cases(const Op& op, Tier tier) {
  std::vector<Case> cases = cases_of(op, tier);
  std::erase_if(cases, [](const Case& c) { return !c.scenario.empty(); });
  return cases;
}

HigherTiers beyond(const Golden& golden, const Op& op, Tier tier) {
  std::set<std::string> left;
  for (const GoldenEntry& e : golden.entries) left.insert(e.id);
  HigherTiers higher;
  for (const Tier t : {Tier::kSmoke, Tier::kQuick, Tier::kFull}) {
    for (const Case& c : recordable_cases(op, t)) {
      if (left.erase(c.id()) == 0 || t <= tier) continue;
      ++higher.cases;
      higher.enough = t;
    }
  }
  return higher;
}

void require_no_higher_tiers(const std::string& root, const std::string& set, const std::vector<const Op*>& ops,
                             Tier tier) {
  HigherTiers all;
  std::string first;
  std::size_t files = 0;
  for (const Op* op : ops) {
    const std::string path = golden_path(root, op->info().name, set);
    HigherTiers here;
    try {
      here = beyond(read_golden(path, op->info().name), *op, tier);
    } catch (const Error&) {
      continue;
    }
    if (here.cases == 0) continue;
    if (++files == 1) first = path;
    all.cases += here.cases;
    all.enough = std::max(all.enough, here.enough);
  }
  if (files == 0) return;
  throw Error(fmt::format(
      "--tier {} would remove {} of higher tiers from {}{}; record with --tier {}, or use "
      "--prune to remove them; nothing is written",
      name_of(tier), count_of(all.cases, "case"), first,
      files == 1 ? "" : fmt::format(" and {} other golden{}", files - 1, files == 2 ? "" : "s"), name_of(all.enough)));
}

}  // namespace dsv4
