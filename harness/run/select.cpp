#include "harness/run/select.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "harness/case/own_seed.h"
#include "harness/case/work.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
std::vector<const Op*> select_ops(const std::vector<std::string>& globs) {
  if (globs.empty()) return all_ops();
  std::vector<std::string> names;
  for (const Op* op : all_ops()) names.push_back(op->info().name);
  std::vector<bool> taken(names.size(), false);
  for (const std::string& glob : globs) {
    bool any = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!glob_match(glob, names[i])) continue;
      taken[i] = any = true;
    }
    if (!any) {
      throw Error(fmt::format("no op is called '{}'{}; 'dsv4diff ops' lists the {} ops", shortened(glob),
                              did_you_mean(glob, names), names.size()));
    }
  }
  std::vector<const Op*> ops;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (taken[i]) ops.push_back(all_ops()[i]);
  }
  return ops;
}

bool excluded(const CaseFilter& filter, const std::string& id, std::set<std::string>& unmatched) {
  const std::string op = id.substr(0, id.find('/'));
  bool out = false;
  for (const std::string& glob : filter.excludes) {
    if (!glob_match(glob, op) && !glob_match(glob, id)) continue;
    unmatched.erase(glob);
    out = true;
  }
  return out;
}

bool excluded(const CaseFilter& filter, const std::string& id) {
  std::set<std::string> unmatched;
  return excluded(filter, id, unmatched);
}

void require_matched_excludes(const std::set<std::string>& unmatched) {
  if (unmatched.empty()) return;
  throw Error(fmt::format("--exclude '{}': no selected case and no op of one matches; 'dsv4diff cases' lists the cases",
                          shortened(*unmatched.begin())));
}

std::vector<Case> select_cases(const CaseFilter& filter) {
  const auto ops = select_ops(filter.ops);
  const auto op_selected = [&](const std::string& name) {
    return std::ranges::any_of(ops, [&](const Op* op) { return op->info().name == name; });
  };
  std::map<std::string, Case> selected;
  std::vector<std::string> globs;
  for (const std::string& wanted : filter.cases) {
    if (is_glob(wanted)) {
      globs.push_back(wanted);
      continue;
    }
    Case c = checked_case(wanted);
    if (op_selected(c.op)) selected.emplace(c.id(), std::move(c));
  }
  if (filter.cases.empty() || !globs.empty()) {
    std::vector<bool> matched(globs.size(), false);
    for (const Op* op : ops) {
      for (Case& c : cases_of(*op, filter.tier, filter.seed)) {
        std::string id = c.id();
        bool take = globs.empty();
        for (std::size_t i = 0; i < globs.size(); ++i) {
          if (!glob_match(globs[i], id)) continue;
          take = matched[i] = true;
        }
        if (!take) continue;
        if (filter.own_seeds) {
          c.seed = own_seed(c);
          id = c.id();
        }
        selected.emplace(std::move(id), std::move(c));
      }
    }
    for (std::size_t i = 0; i < globs.size(); ++i) {
      if (!matched[i]) {
        throw Error(fmt::format("--case '{}': no case of tier '{}' matches; 'dsv4diff cases' lists the cases",
                                shortened(globs[i]), name_of(filter.tier)));
      }
    }
  }
  std::set<std::string> unmatched(filter.excludes.begin(), filter.excludes.end());
  std::erase_if(selected, [&](const auto& entry) { return excluded(filter, entry.first, unmatched); });
  require_matched_excludes(unmatched);
  std::vector<Case> cases;
  for (auto& [id, c] : selected) {
    if (filter.shard.contains(id)) cases.push_back(std::move(c));
  }
  if (cases.empty()) {
    throw Error(fmt::format("no case is selected: {} pass the filters, but none of them is in shard {}/{}",
                            count_of(selected.size(), "case"), filter.shard.index, filter.shard.count));
  }
  return cases;
}

std::vector<std::string> in_running_order(const std::vector<Case>& cases) {
  std::vector<std::pair<double, std::string>> order;
  for (const Case& c : cases) order.emplace_back(-expected_work(c), c.id());
  std::ranges::sort(order);
  std::vector<std::string> ids;
  for (auto& [work, id] : order) ids.push_back(std::move(id));
  return ids;
}

}  // namespace dsv4
