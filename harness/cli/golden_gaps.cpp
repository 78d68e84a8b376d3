#include "harness/cli/golden_gaps.h"

#include <algorithm>

#include "harness/core/text.h"
#include "harness/op/op.h"
#include "harness/report/summary.h"

namespace dsv4 {
namespace {

bool selected(const CaseFilter& filter, const std::string& id) {
  return (filter.cases.empty() || any_glob_match(filter.cases, id)) && !excluded(filter, id) &&
         filter.shard.contains(id);
}

/// The cases of an op that `record` records by default.
std::vector<Case> recordable(const Op& op) {
  std::vector<Case> cases = cases_of(op, Tier::kQuick);
  std::erase_if(cases, [](const Case& c) { return !c.scenario.empty(); });
  return cases;
}

}  // namespace

RecordedIds expected_goldens(const Manifest& set, const std::vector<RecordedSet>& goldens,
                             const std::vector<RecordedIds>& ids) {
  const auto own = std::ranges::find(goldens, set.name, &RecordedSet::set);
  if (own != goldens.end()) return ids[static_cast<std::size_t>(own - goldens.begin())];
  RecordedIds all;
  for (const RecordedIds& recorded : ids) {
    for (const auto& [op, cases] : recorded) all[op].insert(cases.begin(), cases.end());
  }
  return all;
}

NotCovered golden_gaps(const Manifest& set, const RecordedIds& recorded, const CaseFilter& filter) {
  NotCovered gaps;
  for (const Op* op : all_ops()) {
    const std::string& name = op->info().name;
    if (!set.has_op(name) || (!filter.ops.empty() && !any_glob_match(filter.ops, name))) continue;
    const auto golden = recorded.find(name);
    for (const Case& c : recordable(*op)) {
      const std::string id = c.id();
      if (!selected(filter, id)) continue;
      if (golden == recorded.end()) {
        gaps[kOpsWithoutGolden].insert(name);
        break;
      }
      if (!golden->second.contains(id) && set.find(op->make(c)) != nullptr) gaps[kCasesWithoutGolden].insert(id);
    }
  }
  return gaps;
}

}  // namespace dsv4
