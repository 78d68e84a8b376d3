#include "harness/cli/lacking.h"

#include <algorithm>

#include "harness/report/summary.h"

namespace dsv4 {

LackingOps::LackingOps(const CaseFilter& filter, const Manifest& set, const Manifest* against) {
  if (!filter.ops.empty() || !filter.cases.empty()) return;
  for (const Op* op : all_ops()) {
    const std::string& name = op->info().name;
    if (!set.has_op(name)) {
      names_[kOpsNotInSet].insert(name);
    } else if (against != nullptr && !against->has_op(name)) {
      names_[kOpsNotInOther].insert(name);
    }
  }
}

bool LackingOps::lacks(const std::string& op) const {
  return std::ranges::any_of(names_, [&](const auto& kind) { return kind.second.contains(op); });
}

std::vector<std::string> LackingOps::left(std::vector<std::string> ids) const {
  std::erase_if(ids, [&](const std::string& id) { return lacks(id.substr(0, id.find('/'))); });
  return ids;
}

std::vector<const Op*> LackingOps::left(std::vector<const Op*> ops) const {
  std::erase_if(ops, [&](const Op* op) { return lacks(op->info().name); });
  return ops;
}

NotCovered LackingOps::not_covered(const std::map<std::string, std::string>& goldens) const {
  NotCovered some;
  for (const auto& [kind, ops] : names_) {
    for (const std::string& op : ops) {
      if (goldens.contains(op)) some[kind].insert(op);
    }
  }
  return some;
}

}  // namespace dsv4
