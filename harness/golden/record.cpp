#include "harness/golden/record.h"

#include <fmt/format.h>

#include "harness/core/error.h"
#include "harness/run/guarded.h"

namespace dsv4 {

void judge_by_reference(const Case& c, const Observed& got, Caller& reference, const KnownFaults& known,
                        const TrialOptions& options, CaseResult& result) {
  Observation want;
  if (!got.result.refusal) {
    // Other poison than the subject had: two sides that both leave an element unwritten must not agree on it.
    const CallResult other = reference.call(got.call, {.poison = 1});
    if (other.refusal) {
      result.verdict = Verdict::kError;
      result.reason = fmt::format("'{}' refused the call: {}", reference.name(), *other.refusal);
      return;
    }
    want = find_op(c.op)->observe(c, got.call, other);
    want.findings.insert(want.findings.begin(), other.findings.begin(), other.findings.end());
    if (!want.findings.empty()) {
      result.verdict = Verdict::kError;
      result.reason = fmt::format("the reference itself breaks '{}': {}", want.findings.front().check,
                                  want.findings.front().detail);
      return;
    }
  }
  judge(c, got, want, reference, true, known, options, result);
}

RecordedCase record_case(const Case& c, Caller& subject, Caller& reference, const KnownFaults& known,
                         const TrialOptions& options) {
  if (!c.scenario.empty()) throw Error(fmt::format("{}: only an op's own call can be recorded", c.id()));
  RecordedCase out;
  out.result.id = c.id();
  out.result.set = subject.name();
  out.result.against = reference.name();
  guarded(c, known, options, out.result, [&] {
    const Observed got = observe_case(c, subject);
    judge_by_reference(c, got, reference, known, options, out.result);
    const Verdict v = out.result.verdict;
    const bool answered = !got.result.refusal && v != Verdict::kError && v != Verdict::kUnsupported;
    if (answered) out.entry = make_entry(c, got, out.result);
  });
  return out;
}

}  // namespace dsv4
