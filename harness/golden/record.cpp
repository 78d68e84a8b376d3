#include "harness/golden/record.h"

#include <fmt/format.h>

#include "harness/core/error.h"
#include "harness/run/guarded.h"

namespace dsv4 {

RecordedCase record_case(const Case& c, Caller& subject, Caller& reference, const KnownFaults& known,
                         const TrialOptions& options) {
  if (!c.scenario.empty()) throw Error(fmt::format("{}: only an op's own call can be recorded", c.id()));
  RecordedCase out;
  out.result.id = c.id();
  out.result.set = subject.name();
  out.result.against = reference.name();
  guarded(c, known, options, out.result, [&] {
    const Observed got = observe_case(c, subject);
    judge_against(c, got, reference, reference, known, options, out.result);
    const Verdict v = out.result.verdict;
    const bool answered = !got.result.refusal && v != Verdict::kError && v != Verdict::kUnsupported;
    if (answered) out.entry = make_entry(c, got, out.result);
  });
  return out;
}

}  // namespace dsv4
