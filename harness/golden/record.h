/// Records one case as an entry of a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

struct RecordedCase {
  CaseResult result;                 ///< the set against the reference, as in a run
  std::optional<GoldenEntry> entry;  ///< absent if there is nothing to keep: error, unsupported, skipped
};

/// Runs the trial of the case against the other side, which must be the reference, and makes its entry. Failed outputs
/// are kept as well, under their verdict; verify_case never uses them (verify.h). Throws Error for a scenario, and
/// whatever a trial throws.
RecordedCase record_case(const CheckedCase& c, const Sides& sides, const Policy& policy = {});

}  // namespace dsv4
