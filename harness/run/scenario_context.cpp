#include "harness/run/scenario_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/compare/compare.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

constexpr std::size_t kMostFindings = 20;  // one broken step gives many findings; the first ones are enough

/// True if `text` contains one of `words` ("a|b|c"), or if `words` is empty.
bool says_one_of(std::string_view text, std::string_view words) {
  const auto says = [&](const std::string& word) { return text.find(word) != std::string_view::npos; };
  return words.empty() || std::ranges::any_of(split(words, '|'), says);
}

}  // namespace

void TrialContext::expect_agree(const std::string& where, const Observation& got, const Observation& want,
                                const Tolerances& tolerances) {
  if (on_compare) on_compare(where, got, want, tolerances);
  const auto excuses = call_ ? excuses_of_(*call_) : std::vector<Excuse>{};
  for (OutputReport& report : compare_outputs(got, want, tolerances, 1.0, excuses)) {
    add_report(where, std::move(report));
  }
  add_findings(where, got.findings);
}

void TrialContext::expect_refused(const std::string& where, const Call& call, const std::string& argument,
                                  const std::string& why) {
  const CallResult answer = subject.call(call);
  add_findings(where, answer.findings);
  compared(1);
  if (!answer.refusal) {
    fail("not_refused", fmt::format("{}: the call must be refused because of '{}', but it succeeded", where, argument));
    return;
  }
  if (!subject.errors_name_arguments()) return;
  // A reference reports the first size that does not fit, and this size may belong to another argument. This is
  // allowed, because only we read the messages of a reference. The messages of a kernel are for its callers.
  const bool any_argument = subject.is_reference() && why.starts_with("size");
  if (!any_argument && answer.refusal->find("'" + argument + "'") == std::string::npos) {
    fail("refusal_names_argument",
         fmt::format("{}: the error does not name '{}': {}", where, argument, *answer.refusal));
  } else if (!subject.is_reference() && !says_one_of(*answer.refusal, why)) {
    fail("refusal_reason",
         fmt::format("{}: the error must contain one of the words {}: {}", where, why, *answer.refusal));
  }
}

void TrialContext::about(const Call& call) {
  if (excuses_of_) call_ = call;
}

void TrialContext::expect_clean(const std::string& where, const Call& call) {
  about(call);
  const CallResult answer = subject.call(call);
  add_findings(where, answer.findings);
  compared(1);
  if (answer.refusal) return;
  const Observation got = op.observe(c, call, answer);
  const CallResult other = reference.call(call);
  if (other.refusal) {  // no outputs to compare with, so only findings can fail the case
    add_findings(where, got.findings);
  } else {
    expect_agree(where, got, op.observe(c, call, other), op.tolerances(c, call, answer, got, reference));
  }
}

CallResult TrialContext::call(const std::string& where, const Call& call, const CallOptions& options) {
  about(call);
  CallResult answer = subject.call(call, options);
  add_findings(where, answer.findings);
  if (answer.refusal) throw Refused(fmt::format("{}: a valid call was refused: {}", where, *answer.refusal));
  return answer;
}

void TrialContext::fail(const std::string& check, const std::string& detail) {
  if (result_.findings.size() < kMostFindings) result_.findings.push_back({check, detail});
}

void TrialContext::add_findings(const std::string& where, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) fail(f.check, fmt::format("{}: {}", where, f.detail));
}

/// Joins the reports of all steps on one output. `reason`, `first` and `worst` come from the first step with
/// a violation.
void TrialContext::add_report(const std::string& where, OutputReport report) {
  report.bits.reset();  // a scenario compares with the reference or with itself, not with the other side
  if (report.violations != 0) report.reason = fmt::format("{} (at {})", report.reason, where);
  const auto joined = std::ranges::find(result_.outputs, report.name, &OutputReport::name);
  if (joined == result_.outputs.end()) {
    result_.outputs.push_back(std::move(report));
    return;
  }
  if (joined->violations == 0 && report.violations != 0) {
    joined->reason = report.reason;
    joined->first = report.first;
    joined->worst = report.worst;
  }
  joined->compared += report.compared;
  joined->different += report.different;
  joined->violations += report.violations;
  joined->excused += report.excused;
  if (joined->excused_by.empty()) joined->excused_by = report.excused_by;
  joined->certified += report.certified;
  joined->tightness = std::max(joined->tightness, report.tightness);
  joined->trivial = joined->trivial && report.trivial;
}

}  // namespace dsv4
