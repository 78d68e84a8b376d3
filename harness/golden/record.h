/// One case, recorded: what becomes an entry of a golden.
#pragma once

#include <optional>

#include "harness/golden/entry.h"

namespace dsv4 {

struct RecordedCase {
  CaseResult result;                 ///< the set against the reference, as in a run
  std::optional<GoldenEntry> entry;  ///< absent when there is nothing to keep: error, unsupported, skipped
};

/// Makes the case's own call on `subject`, judges it against the reference and makes its entry. An answer that fails is
/// kept as well, under its verdict: verifying never takes such an entry as the truth (verify.h).
/// `c` must not be a scenario.
RecordedCase record_case(const Case& c, Caller& subject, Caller& reference, const KnownFaults& known,
                         const TrialOptions& options = {});

}  // namespace dsv4
