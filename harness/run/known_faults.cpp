#include "harness/run/known_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

using nlohmann::json;

KnownFault parse(const json& j) {
  // Unknown keys are refused. If a condition were misspelt and ignored, the entry would apply to more cases than
  // it says.
  static const std::set<std::string> kKeys{"id",    "op",     "scenarios", "sets",     "params",
                                           "facts", "covers", "summary",   "evidence", "fix"};
  for (const auto& [key, value] : j.items()) {
    if (!kKeys.contains(key)) throw Error(fmt::format("it has an unknown key '{}'", key));
  }
  KnownFault f;
  f.id = j.at("id").get<std::string>();
  f.op = j.at("op").get<std::string>();
  f.scenarios = j.value("scenarios", std::vector<std::string>{});
  f.sets = j.at("sets").get<std::vector<std::string>>();
  if (j.contains("params")) f.params = j.at("params").get<std::map<std::string, std::vector<std::string>>>();
  if (j.contains("facts")) {
    for (const auto& fact : j.at("facts").items()) {
      const json& range = fact.value();
      // The range is [low, high]. An end that is null means "no limit".
      const auto limit = [&](std::size_t i, std::int64_t none) {
        return range.at(i).is_null() ? none : range.at(i).get<std::int64_t>();
      };
      f.facts[fact.key()] = {limit(0, std::numeric_limits<std::int64_t>::min()),
                             limit(1, std::numeric_limits<std::int64_t>::max())};
    }
  }
  f.covers = j.at("covers").get<std::vector<std::string>>();
  f.summary = j.at("summary").get<std::string>();
  f.evidence = j.at("evidence").get<std::string>();
  f.fix = j.at("fix").get<std::string>();
  return f;
}

}  // namespace

KnownFaults KnownFaults::load(const std::string& path) {
  std::error_code none;
  std::ifstream file;
  // Only a regular file is accepted. A pipe could be read only once, and every worker reads the list.
  if (std::filesystem::is_regular_file(path, none)) file.open(path);
  if (!file.is_open())
    throw Error(fmt::format(
        "{}: the list of known faults is not a readable file; name another file with --known FILE, or use --no-known",
        path));
  json root;
  std::size_t entry = 0;
  try {
    root = json::parse(file);
    std::vector<KnownFault> faults;
    for (const json& j : root.at("known_faults")) {
      ++entry;
      faults.push_back(parse(j));
    }
    return KnownFaults(std::move(faults));
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {} {}: {}", path, entry == 0 ? "the file" : "entry",
                            entry == 0 ? "is malformed" : std::to_string(entry), e.what()));
  }
}

const KnownFault* KnownFaults::match(const Case& c, const std::string& set, const std::function<Facts()>& facts) const {
  std::optional<Facts> found;
  for (const KnownFault& f : faults_) {
    if (f.op != c.op || !any_glob_match(f.sets, set)) continue;
    if (f.scenarios.empty() ? !c.scenario.empty() : c.scenario.empty() || !any_glob_match(f.scenarios, c.scenario))
      continue;
    const bool params_hold = std::ranges::all_of(f.params, [&](const auto& p) {
      return c.params.has(p.first) && any_glob_match(p.second, c.params.text(p.first));
    });
    if (!params_hold) continue;
    if (!f.facts.empty() && !found) found = facts();
    const bool facts_hold = std::ranges::all_of(f.facts, [&](const auto& p) {
      const auto it = found->find(p.first);
      return it != found->end() && it->second >= p.second.first && it->second <= p.second.second;
    });
    if (facts_hold) return &f;
  }
  return nullptr;
}

bool KnownFaults::covers(const KnownFault& fault, const std::string& name) {
  return any_glob_match(fault.covers, name);
}

void apply_known_fault(const Policy& policy, const KnownFault* fault, const std::string& check, CaseResult& result) {
  if (fault == nullptr) return;
  result.known_fault = fault->id;
  if (!policy.is_known(fault, check)) return;
  result.verdict = Verdict::kKnown;
  result.reason = fmt::format("{} ({})", fault->summary, result.reason);
}

}  // namespace dsv4
