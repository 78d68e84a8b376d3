/// Holds a kernel set against a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

/// Makes the case's call on the subject and holds the answer against `entry`. The other side must be the reference;
/// `sides.names` should say "golden:<set>" of it.
///
/// In this order:
///   1. The digest of the inputs differs: verdict `error`, "inputs drifted". The generator or the op's definition
///      changed, nothing can be said about the kernel, and the golden has to be recorded again.
///   2. The call was refused, or broke a guard band or an invariant: as in any run.
///   3. Every output has the recorded digest and the recorded answer was right: `passed`, to the bit.
///   4. Else the answer is judged by a fresh answer of `reference`, in full; and, if the recorded answer was right,
///      also held against what the golden keeps: outputs kept in full and samples within the op's tolerance (twice a
///      bound, as both sides are kernels), exact outputs by their digests, where the first differing block is named.
///      Either disagreement fails.
/// A golden whose answer was not right when it was recorded (`known`, `failed`, `mistrusted`) accuses nobody: then the
/// reference alone decides, and the reason says so.
///
/// Throws Error if the entry is of another case, or the case is a scenario; else as a trial does.
CaseResult verify_case(const CheckedCase& c, const GoldenEntry& entry, const Sides& sides, const Policy& policy = {});

/// The case of an entry; or, if the op has no such case any more (renamed, removed, a parameter changed), nullopt, and
/// `lost` receives the result that reports it: verdict `error` with the reason.
std::optional<CheckedCase> case_of_entry(const GoldenEntry& entry, const SideNames& names, CaseResult& lost);

}  // namespace dsv4
