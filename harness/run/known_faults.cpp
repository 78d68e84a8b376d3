#include "harness/run/known_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

bool in_scenario(const KnownFault& f, const std::string& scenario) {
  if (scenario.empty()) return f.scenarios.empty() || contains(f.scenarios, "");
  return any_glob_match(f.scenarios, scenario);
}

bool within(const KnownFault::Range& range, std::int64_t value) {
  return value >= range.first && value <= range.second;
}

/// Whether the releases of a file are among those with the fault.
Applies applies_to_file(const KnownFault& fault, const CodeFile& file, const SetCode& code) {
  using Answer = Applies::Answer;
  const auto has_fault = [&](const std::string& release) { return in_range(release, fault.since, fault.fixed); };
  if (std::ranges::any_of(file.releases, has_fault)) return {Answer::kYes, ""};
  if (!file.releases.empty()) return {Answer::kNo, ""};
  if (code.released) return {has_fault(code.version) ? Answer::kYes : Answer::kNo, ""};
  // Of a version that is known not to have the fault, an edited file has it as little.
  if (!code.version.empty() && !has_fault(code.version)) return {Answer::kNo, ""};
  return {Answer::kEdited, fmt::format("{} differs from {}", file.path,
                                       code.version.empty() ? fmt::format("each known release of {}", code.package)
                                                            : fmt::format("{} {}", code.package, code.version))};
}

/// Names of the outputs with a violation, and of the checks with a finding.
std::set<std::string> disagreeing(const CaseResult& result) {
  std::set<std::string> names;
  for (const OutputReport& output : result.outputs) {
    if (output.violations != 0) names.insert(output.name);
  }
  for (const Finding& finding : result.findings) names.insert(finding.check);
  return names;
}

}  // namespace

std::string_view name_of(KnownFault::Kind kind) {
  constexpr std::array<std::string_view, 3> kNames{"fault", "variant", "undefined"};
  return kNames[static_cast<std::size_t>(kind)];
}

Applies applies_to(const KnownFault& fault, const std::string& op, const SetCode& code) {
  using Answer = Applies::Answer;
  if (code.package != fault.package) return {};
  if (!fault.devices.empty() && !contains(fault.devices, code.device)) return {};
  const auto own = code.ops.find(op);
  if (own == code.ops.end() || own->second.files.empty()) {
    if (!code.version.empty())
      return {in_range(code.version, fault.since, fault.fixed) ? Answer::kYes : Answer::kNo, ""};
    return {Answer::kEdited, "the set tells neither its sources nor their version"};
  }
  Applies all{Answer::kYes, ""};
  for (const std::string& path : fault.sources.empty() ? own->second.main : fault.sources) {
    const auto file = std::ranges::find(own->second.files, path, &CodeFile::path);
    Applies one = file != own->second.files.end()
                      ? applies_to_file(fault, *file, code)
                      : Applies{Answer::kEdited, fmt::format("{} is not among the sources of {}", path, op)};
    if (one.answer == Answer::kNo) return one;
    if (one.answer == Answer::kEdited && all.answer == Answer::kYes) all = one;
  }
  return all;
}

std::vector<const KnownFault*> KnownFaults::match(const Case& c, const SetCode& code,
                                                  const std::function<Facts()>& facts, Applies::Answer answer) const {
  std::vector<const KnownFault*> matches;
  std::optional<Facts> found;
  for (const KnownFault& f : faults_) {
    if (!contains(f.ops, c.op) || !in_scenario(f, c.scenario)) continue;
    const bool params_hold = std::ranges::all_of(f.params, [&](const auto& p) {
      return c.params.has(p.first) && any_glob_match(p.second, c.params.text(p.first));
    });
    if (!params_hold || applies_to(f, c.op, code).answer != answer) continue;
    if (!f.facts.empty() && !found) found = facts();
    const bool facts_hold = std::ranges::all_of(f.facts, [&](const auto& p) {
      const auto it = found->find(p.first);
      return it != found->end() && within(p.second, it->second);
    });
    if (facts_hold) matches.push_back(&f);
  }
  return matches;
}

bool KnownFaults::covers(const KnownFault& fault, const std::string& name) {
  return fault.kind == KnownFault::Kind::kUndefined || any_glob_match(fault.covers, name);
}

KnownMatches Policy::matches(const Case& c, const std::function<Facts()>& facts) const {
  std::optional<Facts> found;
  const auto once = [&] {
    if (!found) found = facts();
    return *found;
  };
  KnownMatches list;
  for (const KnownFault* fault : known.match(c, subject, once)) list.push_back({fault, ""});
  if (other && c.scenario.empty()) {
    for (const KnownFault* fault : known.match(c, *other, once)) list.push_back({fault, other->label});
  }
  return list;
}

std::string Policy::not_excused(const Case& c, const std::function<Facts()>& facts) const {
  const auto edited = known.match(c, subject, facts, Applies::Answer::kEdited);
  return edited.empty() ? "" : edited.front()->id;
}

const KnownMatch* Policy::covering(const KnownMatches& matches, const std::string& name) const {
  if (!keep_known) return nullptr;
  const auto it =
      std::ranges::find_if(matches, [&](const KnownMatch& m) { return KnownFaults::covers(*m.fault, name); });
  return it == matches.end() ? nullptr : &*it;
}

const KnownMatch* Policy::explaining(const KnownMatches& matches, const CaseResult& result) const {
  const KnownMatch* first = nullptr;
  for (const std::string& name : disagreeing(result)) {
    const KnownMatch* match = covering(matches, name);
    if (match == nullptr) return nullptr;
    if (first == nullptr) first = match;
  }
  for (const OutputReport& output : result.outputs) {
    if (first != nullptr || output.excused == 0) continue;
    const auto it =
        std::ranges::find_if(matches, [&](const KnownMatch& m) { return m.fault->id == output.excused_by; });
    if (it != matches.end()) first = &*it;
  }
  return first;
}

bool Policy::excuses_elements(const KnownMatches& matches) const {
  return keep_known && std::ranges::any_of(matches, [](const KnownMatch& m) {
           return !m.fault->elements.empty() || !m.fault->variant.empty();
         });
}

std::vector<Excuse> Policy::excuses(const KnownMatches& matches, const Op& op, const Case& c, const Call& call,
                                    Caller& reference) const {
  std::vector<Excuse> list;
  if (!excuses_elements(matches)) return list;
  const ElementFacts facts = op.element_facts(c, call);
  for (const KnownMatch& match : matches) {
    const KnownFault& fault = *match.fault;
    std::optional<Alternative> alternative;
    if (!fault.variant.empty()) {
      alternative = op.variant(fault.variant, c, call, reference);
      if (!alternative) continue;
    }
    std::set<std::string> outputs;
    for (const auto& [output, ranges] : fault.elements) outputs.insert(output);
    if (fault.elements.empty() && alternative) {
      for (const Output& output : alternative->outputs) outputs.insert(output.name);
    }
    for (const std::string& output : outputs) {
      Excuse excuse{fault.id, output, {}, alternative, !match.other_side.empty()};
      bool described = true;
      if (const auto ranges = fault.elements.find(output); ranges != fault.elements.end()) {
        for (const auto& [name, range] : ranges->second) {
          const auto fact = facts.find(name);
          described = described && fact != facts.end();
          if (described) excuse.facts.push_back({fact->second, range.first, range.second});
        }
      }
      if (described) list.push_back(std::move(excuse));
    }
  }
  return list;
}

std::string known_reason(const KnownMatch& match, const std::string& seen) {
  const std::string side = match.other_side.empty() ? "" : fmt::format("in '{}': ", match.other_side);
  return fmt::format("{}{}{}", side, match.fault->summary, seen.empty() ? "" : fmt::format(" ({})", seen));
}

void apply_known_faults(const Policy& policy, const KnownMatches& matches, const std::string& check,
                        CaseResult& result) {
  if (matches.empty()) return;
  const KnownMatch* match = policy.covering(matches, check);
  result.known_fault = (match == nullptr ? matches.front() : *match).fault->id;
  if (match == nullptr) return;
  result.verdict = Verdict::kKnown;
  result.reason = known_reason(*match, result.reason);
}

}  // namespace dsv4
