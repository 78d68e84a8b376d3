#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/generate/random.h"
#include "harness/op/derived.h"
#include "harness/op/op.h"

namespace dsv4 {
namespace {

std::vector<std::unique_ptr<Op>>& owners() {
  static std::vector<std::unique_ptr<Op>> list;
  return list;
}

std::vector<const Op*>& index() {
  static std::vector<const Op*> list;
  return list;
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const Op* op : all_ops()) names.push_back(op->info().name);
  return names;
}

std::vector<Params> first_smoke_point(const Op& op) {
  auto points = op.points(Tier::kSmoke);
  if (points.size() > 1) points.resize(1);
  return points;
}

}  // namespace

const std::vector<const Op*>& all_ops() { return index(); }

const Op* find_op(const std::string& name) {
  for (const Op* op : index()) {
    if (op->info().name == name) return op;
  }
  return nullptr;
}

std::map<std::string, std::vector<std::string>> known_abis() {
  std::map<std::string, std::vector<std::string>> abis;
  for (const Op* op : all_ops()) abis.emplace(op->info().name, op->info().abis);
  return abis;
}

void register_op(std::unique_ptr<Op> op) {
  try {
    check_declaration(*op);
  } catch (const std::exception& e) {
    // This runs before main(), where no caller can catch an exception. The tool cannot work with a wrong declaration,
    // so it ends here.
    fmt::print(stderr, "dsv4diff: the declaration of op '{}' is wrong: {}\n", op->info().name, e.what());
    std::_Exit(2);
  }
  index().push_back(op.get());
  owners().push_back(std::move(op));
  std::ranges::sort(index(), {}, [](const Op* o) { return o->info().name; });
}

std::vector<Scenario> all_scenarios(const Op& op) {
  std::vector<Scenario> list = op.scenarios();
  for (Scenario& derived : derived_scenarios(op)) {
    if (find_scenario(list, derived.label()) == nullptr) list.push_back(std::move(derived));
  }
  // Every op runs relation:repeat on its smoke points. If the op declares the relation itself, it can add points.
  Scenario& repeat = *std::ranges::find(list, "relation:repeat", &Scenario::label);
  repeat.points = [&op, more = std::move(repeat.points)](Tier tier) {
    std::vector<Params> points = tier == Tier::kSmoke ? op.points(tier) : std::vector<Params>{};
    if (more) std::ranges::move(more(tier), std::back_inserter(points));
    return points;
  };
  return list;
}

const Scenario* find_scenario(const std::vector<Scenario>& scenarios, const std::string& label) {
  for (const Scenario& s : scenarios) {
    if (s.label() == label) return &s;
  }
  return nullptr;
}

std::vector<Case> cases_of(const Op& op, Tier tier, std::uint64_t seed) {
  std::vector<Case> cases;
  std::set<std::string> seen;
  const auto add = [&](const std::string& scenario, const std::vector<Params>& points) {
    for (const Params& p : points) {
      Case c{op.info().name, scenario, p, seed};
      if (seen.insert(c.id()).second) cases.push_back(std::move(c));
    }
  };
  const auto tiers = {Tier::kSmoke, Tier::kQuick, Tier::kFull};
  for (const Tier t : tiers) {
    if (t <= tier) add("", op.points(t));
  }
  for (const Scenario& s : all_scenarios(op)) {
    if (!s.points) {
      add(s.label(), first_smoke_point(op));
      continue;
    }
    for (const Tier t : tiers) {
      if (t <= tier) add(s.label(), s.points(t));
    }
  }
  return cases;
}

Case random_case(const Op& op, std::uint64_t seed) {
  Random random(seed, op.info().name + "/soak");
  for (int attempt = 0; attempt < 1000; ++attempt) {
    Params params;
    for (const ParamSpec& spec : op.info().space.specs()) {
      if (!spec.choices.empty()) {
        params.set(
            spec.name,
            spec.choices[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(spec.choices.size())))]);
      } else if (!spec.interesting.empty() && !random.chance(4)) {
        params.set(spec.name, spec.interesting[static_cast<std::size_t>(
                                  random.below(static_cast<std::int64_t>(spec.interesting.size())))]);
      } else {
        // The magnitude of a size matters more than its exact value. So first draw a power of two, and then a value
        // below this limit. Small values become frequent in this way.
        const std::int64_t span = spec.max - spec.min;
        std::int64_t width = 1;
        while (width < span && random.below(3) != 0) width *= 2;
        params.set(spec.name, spec.min + random.below(std::min(span, width) + 1));
      }
    }
    if (!why_not(op, params)) return {op.info().name, "", params, seed};
  }
  throw Error(fmt::format(
      "op '{}': no valid random case found in 1000 attempts; too few combinations of its parameters are valid",
      op.info().name));
}

CheckedCase with_definitions(Case c) {
  const std::string id = c.id();
  const Op* op = find_op(c.op);
  if (op == nullptr) {
    throw Error(fmt::format("case id '{}': unknown op '{}'{} ('dsv4diff ops' lists the ops)", id, c.op,
                            did_you_mean(c.op, op_names())));
  }
  if (c.scenario.empty()) return {std::move(c), op};
  const auto scenarios = all_scenarios(*op);
  const Scenario* scenario = find_scenario(scenarios, c.scenario);
  if (scenario == nullptr) {
    std::vector<std::string> labels;
    for (const auto& s : scenarios) labels.push_back(s.label());
    throw Error(fmt::format("case id '{}': op '{}' has no {}{}; it has {}", id, c.op, c.scenario,
                            did_you_mean(c.scenario, labels), fmt::join(labels, ", ")));
  }
  return {std::move(c), op, *scenario};
}

CheckedCase checked_case(const std::string& id) {
  CheckedCase c = with_definitions(parse_case_id(id));
  const Op* op = c.definition;
  std::vector<std::string> names;
  for (const ParamSpec& spec : op->info().space.specs()) names.push_back(spec.name);
  for (const auto& [name, value] : c.params.pairs()) {
    if (std::ranges::find(names, name) == names.end()) {
      throw Error(fmt::format("case id '{}': op '{}' has no parameter '{}'{}; it has {}", id, c.op, name,
                              did_you_mean(name, names), fmt::join(names, ", ")));
    }
  }
  Params canonical;
  for (const ParamSpec& spec : op->info().space.specs()) {
    if (!c.params.has(spec.name))
      throw Error(fmt::format("case id '{}': parameter '{}' is missing ({})", id, spec.name, spec.meaning));
    const std::string& value = c.params.text(spec.name);
    if (const auto why = spec.reject(value)) throw Error(fmt::format("case id '{}': {}", id, *why));
    canonical.set(spec.name, value);
  }
  c.params = canonical;
  if (const auto why = why_not(*op, c.params))
    throw Error(fmt::format("case id '{}' is not a case of '{}': {}", id, c.op, *why));
  return c;
}

}  // namespace dsv4
