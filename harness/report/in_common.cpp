#include "harness/report/in_common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "harness/case/work.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

constexpr std::size_t kMostValues = 3;      // of a parameter that are named as alternatives
constexpr std::size_t kMostConditions = 3;  // that are joined by "and"
constexpr std::size_t kFewCases = 8;        // fewer cases than this share many things by chance

using Cases = std::vector<const Params*>;

/// Something that a case's parameters may fulfil.
struct Condition {
  std::string text;
  std::function<bool(const Params&)> holds;
};

std::size_t count(const Cases& cases, const Condition& condition) {
  return static_cast<std::size_t>(std::ranges::count_if(cases, [&](const Params* p) { return condition.holds(*p); }));
}

std::set<std::string> values_of(const Cases& cases, const std::string& name) {
  std::set<std::string> values;
  for (const Params* p : cases) values.insert(p->has(name) ? p->text(name) : "");
  return values;
}

Condition one_of(const std::string& name, const std::set<std::string>& values) {
  return {fmt::format("{}={}", name, fmt::join(values, " or ")),
          [=](const Params& p) { return values.contains(p.has(name) ? p.text(name) : ""); }};
}

/// Values as numbers; empty if one of them is a word.
std::vector<std::int64_t> numbers(const std::set<std::string>& values) {
  std::vector<std::int64_t> all;
  for (const std::string& value : values) {
    const auto n = number_in(value);
    if (!n) return {};
    all.push_back(*n);
  }
  std::ranges::sort(all);
  return all;
}

Condition limit(const std::string& name, const char* sign, std::int64_t bound) {
  const bool least = sign[0] == '>';
  return {fmt::format("{}{}{}", name, sign, bound), [=](const Params& p) {
            const auto n = p.has(name) ? number_in(p.text(name)) : std::nullopt;
            return n && (least ? *n >= bound : *n <= bound);
          }};
}

/// One parameter is below another: a kernel may be wrong only for rows that are shorter than k.
Condition below(const std::string& name, const char* sign, const std::string& other) {
  const bool equal = sign[1] == '=';
  return {fmt::format("{}{}{}", name, sign, other), [=](const Params& p) {
            const auto a = p.has(name) ? number_in(p.text(name)) : std::nullopt;
            const auto b = p.has(other) ? number_in(p.text(other)) : std::nullopt;
            return a && b && (equal ? *a <= *b : *a < *b);
          }};
}

/// Conditions that all failing cases fulfil and some passing case does not.
std::vector<Condition> shared_by_all(const Cases& failing, const Cases& passing) {
  std::vector<Condition> found;
  for (const auto& [name, unused] : failing.front()->pairs()) {
    const auto mine = values_of(failing, name), other = values_of(passing, name);
    if (mine.size() <= kMostValues) found.push_back(one_of(name, mine));
    const auto n = numbers(mine);
    if (n.empty() || mine.size() == 1) continue;
    found.push_back(limit(name, ">=", n.front()));
    found.push_back(limit(name, "<=", n.back()));
  }
  if (failing.size() >= kFewCases) {
    for (const auto& [name, unused] : failing.front()->pairs()) {
      for (const auto& [other, value] : failing.front()->pairs()) {
        if (name == other) continue;
        for (const char* sign : {"<=", "<"}) {
          Condition condition = below(name, sign, other);
          if (count(failing, condition) == failing.size()) found.push_back(std::move(condition));
        }
      }
    }
  }
  std::erase_if(found, [&](const Condition& c) { return count(passing, c) == passing.size(); });
  return found;
}

/// Takes the condition that leaves the fewest passing cases, again and again.
std::vector<Condition> narrowest(std::vector<Condition> conditions, Cases& passing, std::size_t most) {
  std::vector<Condition> chosen;
  while (chosen.size() < most && !passing.empty() && !conditions.empty()) {
    const auto best = std::ranges::min_element(conditions, {}, [&](const Condition& c) { return count(passing, c); });
    if (count(passing, *best) == passing.size()) break;
    std::erase_if(passing, [&](const Params* p) { return !best->holds(*p); });
    chosen.push_back(*best);
    conditions.erase(best);
  }
  return chosen;
}

/// The value that no passing case and the most failing cases have; only if at least half of them have it.
std::string mostly(const Cases& failing, const Cases& passing) {
  std::size_t most = 0;
  std::string text;
  for (const auto& [name, unused] : failing.front()->pairs()) {
    for (const std::string& value : values_of(failing, name)) {
      const Condition condition = one_of(name, {value});
      const std::size_t n = count(failing, condition);
      if (n <= most || 2 * n < failing.size() || count(passing, condition) != 0) continue;
      most = n;
      text = fmt::format("{} of {} have {}; no passing case has it", n, failing.size(), condition.text);
    }
  }
  return text;
}

}  // namespace

std::string in_common(const FailureKind& kind, const std::vector<ReportedCase>& passed) {
  const bool plain = kind.plain() != 0;
  std::set<std::string> scenarios;
  Cases failing, passing;
  for (const ReportedCase& c : kind.cases) {
    if (plain && !c.plain()) continue;
    failing.push_back(&c.parts.params);
    scenarios.insert(c.parts.scenario);
  }
  for (const ReportedCase& c : passed) {
    if (c.parts.op == kind.op && scenarios.contains(c.parts.scenario)) passing.push_back(&c.parts.params);
  }
  const char* what = plain ? "plain case" : "case";
  if (passing.empty())
    return failing.size() == 1 ? "" : fmt::format("no {} of this op passes", plain ? "plain case" : "such case");
  const std::size_t all = passing.size();
  const std::size_t most = failing.size() == 1 ? 1 : failing.size() < kFewCases ? 2 : kMostConditions;
  Cases left = passing;
  const auto chosen = narrowest(shared_by_all(failing, passing), left, most);
  if (!left.empty()) {
    if (failing.size() == 1) return "";
    if (std::string text = mostly(failing, passing); !text.empty()) return text;
  }
  const std::string who = failing.size() == 1 ? "it has" : fmt::format("all {} have", count_of(failing.size(), what));
  // What most passing cases share as well explains nothing.
  if (chosen.empty() || 2 * left.size() > all)
    return fmt::format("no parameter sets the {} apart", count_of(failing.size(), what));
  std::vector<std::string> texts;
  for (const Condition& c : chosen) texts.push_back(c.text);
  const std::string both = chosen.size() == 1 ? "it" : chosen.size() == 2 ? "both" : "all of it";
  const std::string others = left.empty() ? fmt::format("no passing case has {}", both)
                                          : fmt::format("so have {} of {}", left.size(), count_of(all, "passing case"));
  return fmt::format("{} {}; {}", who, fmt::join(texts, " and "), others);
}

}  // namespace dsv4
