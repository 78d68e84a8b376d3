/// The trial of one case on two kernel sets, for `dsv4diff drift`. Measures how the errors of both sets against the
/// reference differ.
#pragma once

#include "harness/run/trial.h"

namespace dsv4 {

/// Makes the op's own call on `sides.subject`, `sides.against` and `sides.reference`, with the same poison. So two
/// builds of one source have the same bits even where they read memory that nobody wrote. Each output that is not exact
/// gets OutputReport::errors and OutputReport::paired.
///
/// The reports compare the set under test with the reference. The verdict is `failed` if a set is wrong, and the reason
/// names the set. CaseResult::change says which: "new" (only the set under test), "mended" (only the other set),
/// "alike" (both in the same outputs and checks) or "changed" (both, in others). What known faults explain is `known`.
///
/// The case must not have a scenario. Throws what Trial::run() throws.
CaseResult drift_case(const CheckedCase& c, const Sides& sides, const Policy& policy);

}  // namespace dsv4
