/// Compares a kernel set with a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

/// Makes the call of the case on the set under test and compares the outputs with `entry`. `sides.against` must be the
/// reference, but its name in `sides.names` should be "golden:<set>".
///
/// The steps, in this order:
///   1. If the digest of the inputs differs from the recorded one, the verdict is `error` with the reason "inputs
///      drifted". The generator or the op's definition has changed, so the outputs say nothing about the kernel. The
///      golden must be recorded again.
///   2. A refused call, a changed guard band or a broken invariant has the same verdict as in `dsv4diff run`.
///   3. If the recorded verdict is `passed` and every output has the recorded digest, the case passes.
///   4. Otherwise the outputs are compared with the outputs of the reference. If the recorded verdict is `passed`, they
///      are also compared with the golden, and the case fails if either comparison fails. Against the golden, the op's
///      tolerance applies to outputs that are kept in full, and to samples. A bound is doubled, because both sides are
///      kernels. Outputs with an exact tolerance must have the recorded digest. If a large one differs, the reason
///      names its first block that differs. If `sides.exact`, every output must have the recorded digest.
/// If the recorded verdict is `known`, `failed` or `mistrusted`, the golden is not used. The verdict then depends only
/// on the reference, and the reason says this.
///
/// Throws Error if the entry belongs to another case, or if the case is a scenario. Also throws whatever
/// Trial::run() throws.
CaseResult verify_case(const CheckedCase& c, const GoldenEntry& entry, const Sides& sides, const Policy& policy = {});

/// Returns the case of an entry. Returns nullopt if the op does not have the case any more, because the case was
/// renamed or removed, or because a parameter changed. In this case, `lost` becomes a result with the verdict `error`
/// and the reason.
std::optional<CheckedCase> case_of_entry(const GoldenEntry& entry, const SideNames& names, CaseResult& lost);

}  // namespace dsv4
