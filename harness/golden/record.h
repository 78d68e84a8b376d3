/// Records one case as an entry of a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

struct RecordedCase {
  CaseResult result;                 ///< result of comparing the set with the reference
  std::optional<GoldenEntry> entry;  ///< absent for a refused call and for verdict error, unsupported or skipped
};

/// Runs the trial of the case and makes its entry. `sides.against` must be the reference. Outputs that fail are kept as
/// well, and the entry has the verdict `failed`. A later verdict of verify_case() (verify.h) never depends on them.
/// Throws Error for a scenario, and whatever Trial::run() throws.
RecordedCase record_case(const CheckedCase& c, const Sides& sides, const Policy& policy = {});

}  // namespace dsv4
