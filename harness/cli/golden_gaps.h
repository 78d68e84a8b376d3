/// Finds what `verify` cannot try, because nobody recorded it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/cli/golden_options.h"
#include "harness/report/run_report.h"
#include "harness/run/select.h"
#include "harness/sets/set.h"

namespace dsv4 {

/// The ids of the recorded cases of each op.
using RecordedIds = std::map<std::string, std::set<std::string>>;

/// Returns the goldens in which the cases of `set` are expected: its own, or, if there are none, those of all sets
/// together. `ids` belongs to `goldens` by index.
RecordedIds expected_goldens(const Manifest& set, const std::vector<RecordedSet>& goldens,
                             const std::vector<RecordedIds>& ids);

/// Returns the ops of the set that have no golden, and the cases of the quick tier that the golden of their op lacks.
/// The filters apply to both. Scenarios have no goldens, and a case that the set cannot run needs none.
NotCovered golden_gaps(const Manifest& set, const RecordedIds& recorded, const CaseFilter& filter);

}  // namespace dsv4
