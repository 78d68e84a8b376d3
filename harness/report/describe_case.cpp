#include "harness/report/describe_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "harness/core/text.h"
#include "harness/report/failure_kinds.h"

namespace dsv4 {
namespace {

std::string element(const char* label, const ElementDifference& d, bool bounded) {
  std::string text = fmt::format("{} at {}: got {}, want {}", label, format_shape(d.at), d.got, d.want);
  if (bounded) text += fmt::format(", error {:.3g}, bound {:.3g}", d.error, d.bound);
  return text;
}

/// True if an output or a finding of the case says the same as its reason.
bool reason_is_told(const CaseResult& r) {
  for (const Finding& f : r.findings) {
    if (r.reason == fmt::format("{}: {}", f.check, f.detail)) return true;
  }
  return std::ranges::any_of(r.outputs, [&](const OutputReport& o) {
    return o.violations != 0 &&
           (r.reason == fmt::format("{}: {}", o.name, o.reason) ||
            r.reason.starts_with(fmt::format("{}: {} of {} elements outside", o.name, o.violations, o.compared)));
  });
}

/// Divides the reason of a tolerance from the step at which a scenario used it: "text (at step)".
std::pair<std::string, std::string> reason_and_step(const std::string& reason) {
  const auto at = reason.rfind(" (at ");
  if (at == std::string::npos || !reason.ends_with(")")) return {reason, ""};
  return {reason.substr(0, at), " " + reason.substr(at + 2, reason.size() - at - 3)};
}

}  // namespace

std::string CaseTeller::line(const std::string& text, std::size_t indent) const {
  return lines_of(layout_, std::string(indent, ' ') + text, indent + 2);
}

std::string CaseTeller::heading(const CaseResult& r) const {
  return painted(layout_, Paint::kBad, std::string(name_of(r.verdict))) + " " + one_line(r.id) + "\n";
}

std::string CaseTeller::output(const OutputReport& o) {
  const auto [reason, step] = reason_and_step(o.reason);
  if (o.compared == 0) return line(fmt::format("output {}: {}{}", o.name, reason, step), 2);
  std::string text = line(fmt::format("output {}: {} of {} elements outside the tolerance ({}){}", o.name, o.violations,
                                      o.compared, o.tolerance, step),
                          2);
  const bool bounded = o.tolerance == "bound";
  if (o.first) text += line(element("first", *o.first, bounded), 4);
  if (o.worst && o.first && o.worst->at != o.first->at) text += line(element("worst", *o.worst, bounded), 4);
  if (said_.insert(o.tolerance + reason).second) text += line(fmt::format("{}: {}", o.tolerance, reason), 4);
  return text;
}

std::string CaseTeller::findings(const CaseResult& r) const {
  std::vector<std::pair<std::string, std::size_t>> counts;  // in the order of the findings
  for (const Finding& f : r.findings) {
    const std::string alike = without_numbers(f.check + ": " + f.detail);
    const auto it = std::ranges::find(counts, alike, &std::pair<std::string, std::size_t>::first);
    if (it != counts.end()) {
      ++it->second;
    } else {
      counts.emplace_back(alike, 1);
    }
  }
  std::string text;
  for (const Finding& f : r.findings) {
    const std::string alike = without_numbers(f.check + ": " + f.detail);
    const auto it = std::ranges::find(counts, alike, &std::pair<std::string, std::size_t>::first);
    if (it->second == 0) continue;
    const std::string more = it->second == 1 ? "" : fmt::format(" (and {} more alike)", it->second - 1);
    text += line(fmt::format("finding {}: {}{}", f.check, f.detail, more), 2);
    it->second = 0;
  }
  return text;
}

std::string CaseTeller::differences(const CaseResult& r) {
  std::string text;
  if (!r.reason.empty() && !reason_is_told(r)) {
    const bool first = r.verdict != Verdict::kError || said_.insert("error " + r.reason).second;
    text += line(first ? r.reason : "the same reason as an error above", 2);
    // The reason of a difference from a golden repeats the reason of the tolerance.
    for (const OutputReport& o : r.outputs) {
      if (!o.reason.empty() && r.reason.find(o.reason) != std::string::npos) said_.insert(o.tolerance + o.reason);
    }
  }
  for (const OutputReport& o : r.outputs) {
    if (o.violations != 0) text += output(o);
  }
  text += findings(r);
  if (!r.known_fault.empty()) text += line(fmt::format("known fault: {}", r.known_fault), 2);
  return text;
}

std::string CaseTeller::command(const CaseResult& r) const {
  const std::string note = r.note.empty() ? "" : line(r.note, 2);
  const char* label = r.confirmed == Confirmed::kNotAgain ? "once more (may agree)" : "reproduce";
  return note + fmt::format("  {}: {}\n", label, one_line(r.reproduce));
}

std::string describe_case(const CaseResult& r) {
  CaseTeller teller;
  return teller.heading(r) + teller.differences(r) + teller.command(r);
}

}  // namespace dsv4
