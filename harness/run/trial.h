/// One case, tried: inputs made, both sides called, outputs compared, verdict given. Runs in a worker process.
#pragma once

#include "harness/case/case.h"
#include "harness/op/op.h"
#include "harness/run/known_faults.h"
#include "harness/verdict/result.h"

namespace dsv4 {

struct TrialOptions {
  bool keep_known = true;  ///< false (--no-known): known faults fail like any other difference
};

/// Tries `c` on `subject` against `against`; bounds and certificates come from `reference` (which may be `against`
/// itself). Never throws for what a kernel does; throws Error only if the harness itself cannot go on.
CaseResult try_case(const Case& c, Caller& subject, Caller& against, Caller& reference, const KnownFaults& known,
                    const TrialOptions& options = {});

/// The op's own call of `c` on `subject`, observed: what recording and verifying goldens start from. Scenarios have no
/// golden.
struct Observed {
  Call call;
  CallResult result;
  Observation observation;
};
Observed observe_case(const Case& c, Caller& subject);

/// Judges `got` against outputs `want` that came from elsewhere (another set, a golden). Fills outputs, findings and
/// verdict of `result`; applies known faults and the mistrusted rule.
void judge(const Case& c, const Observed& got, const Observation& want, Caller& reference, bool want_is_reference,
           const KnownFaults& known, const TrialOptions& options, CaseResult& result);

/// Makes the call of `got` on another set and judges `got` against that answer. A reference that refuses the call, or
/// breaks its own checks, is an error of the case that names it.
void judge_against(const Case& c, const Observed& got, Caller& against, Caller& reference, const KnownFaults& known,
                   const TrialOptions& options, CaseResult& result);

/// Turns an error of `result` into `known` if a known fault of this case covers `check`: "crash" for a worker that died
/// or hung, "device_lost" for a dead GPU context, "refusal" for a valid call that was refused.
void excuse_error(const Case& c, const KnownFaults& known, const TrialOptions& options, const std::string& check,
                  CaseResult& result);

}  // namespace dsv4
