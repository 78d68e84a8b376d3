#include "harness/run/changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/case/case.h"

namespace dsv4 {
namespace {

bool differs(const CaseResult& r) {
  return r.verdict == Verdict::kFailed || r.verdict == Verdict::kError || r.verdict == Verdict::kMistrusted;
}

bool is_scenario(const CaseResult& r) { return !parse_case_id(r.id).scenario.empty(); }

void pass_as_alike(CaseResult& r, const std::string& sides) {
  r.change = "alike";
  r.verdict = Verdict::kPassed;
  r.reason = fmt::format("{} alike: {}", sides, r.reason);
}

}  // namespace

std::set<std::string> faults_of(const CaseResult& r) {
  switch (r.verdict) {
    case Verdict::kPassed:
      return {};
    case Verdict::kUnsupported:
    case Verdict::kSkipped:
    case Verdict::kMistrusted:
      return {std::string(name_of(r.verdict))};
    case Verdict::kFailed:
    case Verdict::kKnown:
    case Verdict::kError:
      break;
  }
  std::set<std::string> faults = r.disagreeing();
  // A known crash has the cause of its error.
  if (!r.cause.empty() || r.verdict == Verdict::kError) faults.insert("error: " + r.cause);
  return faults;
}

bool other_does_it_alone(const CaseResult& result, const CaseResult& other_alone) {
  const auto faults = faults_of(result), others = faults_of(other_alone);
  return is_scenario(result) ? faults == others : std::ranges::includes(others, faults);
}

void excuse_if_alike(CaseResult& result, const CaseResult& other_alone, const CaseResult* subject_alone) {
  if (!differs(result)) return;
  const bool scenario = is_scenario(result);
  const bool by_other = other_does_it_alone(result, other_alone);
  const bool by_subject =
      scenario || (subject_alone != nullptr && std::ranges::includes(faults_of(*subject_alone), faults_of(result)));
  if (by_other && by_subject) return pass_as_alike(result, "both sides");
  const std::string subject = fmt::format("'{}'", result.set_label), other = fmt::format("'{}'", result.against);
  if (by_other) {
    result.reason = fmt::format("{} and not {}: {}", other, subject, result.reason);
  } else if (scenario || !result.cause.empty()) {
    result.reason = faults_of(other_alone).empty()
                        ? fmt::format("{} and not {}: {}", subject, other, result.reason)
                        : fmt::format("{}: {}; {}: {}", subject, result.reason, other, other_alone.reason);
  }
}

bool may_have_known_fault(const CaseResult& result, const CaseResult& old) {
  return differs(result) && !result.not_excused.empty() && old.verdict == Verdict::kKnown;
}

void excuse_if_known_unedited(CaseResult& result, const CaseResult& unedited, const std::string& other) {
  if (!differs(result) || unedited.known_fault.empty() || differs(unedited)) return;
  result.not_excused.clear();
  pass_as_alike(result,
                fmt::format("'{}' and '{}' show known fault {}", result.set_label, other, unedited.known_fault));
}

void compare_with_baseline(CaseResult& result, const CaseResult& baseline) {
  const bool tried = baseline.verdict != Verdict::kUnsupported && baseline.verdict != Verdict::kSkipped;
  const auto before = tried ? faults_of(baseline) : std::set<std::string>{};
  const std::string base = fmt::format("'{}'", baseline.set_label);
  if (result.verdict == Verdict::kPassed && !before.empty()) {
    result.change = "mended";
    result.reason = fmt::format("mended; {}: {}", base, baseline.reason);
  }
  if (!differs(result)) return;
  if (faults_of(result) == before) {
    pass_as_alike(result, fmt::format("'{}' and {}", result.set_label, base));
  } else if (before.empty()) {
    result.change = "new";
    result.reason = fmt::format("new, not in {}: {}", base, result.reason);
  } else {
    result.change = "changed";
    result.reason = fmt::format("changed: {}; {}: {}", result.reason, base, baseline.reason);
  }
}

}  // namespace dsv4
