#include "harness/cli/op_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/compare/compare.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {

std::vector<OutputFacts> outputs_of(const Op& op, Caller& reference) {
  std::vector<OutputFacts> facts;
  for (const Case& c : cases_of(op, Tier::kSmoke)) {
    if (!c.scenario.empty()) continue;
    const Call call = op.make(c);
    const CallResult result = reference.call(call);
    if (result.refusal) throw Error(fmt::format("{}: the reference refused the call: {}", c.id(), *result.refusal));
    const Observation got = op.observe(c, call, result);
    const Tolerances tolerances = op.tolerances(c, call, result, got, reference);
    for (const Output& output : got.outputs) {
      auto it = std::ranges::find(facts, output.name, &OutputFacts::name);
      if (it == facts.end()) {
        facts.push_back({output.name, std::string(name_of(output.value.dtype)), output.value.shape.size(), {}});
        it = facts.end() - 1;
      }
      const auto at = tolerances.find(output.name);
      const Tolerance tolerance = at == tolerances.end() ? Tolerance{} : at->second;
      it->tolerances.insert(fmt::format("{}: {}", name_of_kind(tolerance.kind), tolerance.reason));
    }
  }
  return facts;
}

std::vector<std::string> upstream_names(const Op& op) {
  std::vector<std::string> names = split(op.info().upstream, ',');
  for (std::string& name : names) name.erase(0, name.find_first_not_of(' '));
  return names;
}

bool is_own_check(const Op& op, const Scenario& scenario) {
  const auto own = op.scenarios();
  return find_scenario(own, scenario.label()) != nullptr;
}

}  // namespace dsv4
