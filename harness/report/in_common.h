/// Finds what failing cases have in common.
#pragma once

#include <string>
#include <vector>

#include "harness/report/failure_kinds.h"

namespace dsv4 {

/// Says in one sentence which parameters the failing cases of a kind share, and how many of the passing cases share
/// them too: "all 47 have limit=none; no passing case has it". Returns "" for a single case that no one
/// parameter sets apart.
///
/// Plain cases are compared with plain cases. If the kind has none, its cases are compared with the cases of the
/// same contracts, relations and sequences.
std::string in_common(const FailureKind& kind, const std::vector<ReportedCase>& passed);

}  // namespace dsv4
