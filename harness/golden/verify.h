/// Compares a kernel set with a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

/// Makes the case's call on the set under test and compares its outputs with `entry`. The other side must be the
/// reference; `sides.names` should call it "golden:<set>".
///
/// The steps, in this order:
///   1. If the digest of the inputs differs, the verdict is `error`, "inputs drifted". The generator or the op's
///      definition changed, so the case says nothing about the kernel. The golden must be recorded again.
///   2. A refused call, a changed guard band or a broken invariant counts as in any run.
///   3. If every output has the recorded digest and the recorded verdict is `passed`, the case is `passed`, to the bit.
///   4. Otherwise the outputs are compared with those of the reference. If the recorded verdict is `passed`, they are
///      also compared with the golden; either disagreement fails. Outputs kept in full and samples must be within the
///      op's tolerance; a bound is doubled, as both sides are kernels. Exact outputs must have the recorded digest; if
///      not, the reason names the first block that differs.
/// If the recorded verdict is not `passed` (`known`, `failed`, `mistrusted`), the golden is not used. Then only the
/// reference decides, and the reason says so.
///
/// Throws Error if the entry belongs to another case or the case is a scenario, and whatever a trial throws.
CaseResult verify_case(const CheckedCase& c, const GoldenEntry& entry, const Sides& sides, const Policy& policy = {});

/// The case of an entry. Returns nullopt if the op does not have the case any more: it was renamed or removed, or a
/// parameter changed. Then `lost` becomes the result that reports this, with verdict `error` and the reason.
std::optional<CheckedCase> case_of_entry(const GoldenEntry& entry, const SideNames& names, CaseResult& lost);

}  // namespace dsv4
