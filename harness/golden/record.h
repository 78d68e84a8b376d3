/// One case, recorded: what becomes an entry of a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

struct RecordedCase {
  CaseResult result;                 ///< the set against the reference, as in a run
  std::optional<GoldenEntry> entry;  ///< absent when there is nothing to keep: error, unsupported, skipped
};

/// Tries the case against the other side, which must be the reference, and makes its entry. An answer that fails is
/// kept as well, under its verdict: verifying never takes such an entry as the truth (verify.h). Throws Error for a
/// scenario, and as a trial does.
RecordedCase record_case(const CheckedCase& c, const Sides& sides, const Policy& policy = {});

}  // namespace dsv4
