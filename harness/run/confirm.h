/// Tries differing cases again after a sweep, so that every printed command gives the difference again.
///
/// Each chosen case runs alone in a new process. If it agrees there, the difference depends on what its process did
/// before. So the case runs again after earlier cases of that process, and the shortest such sequence is searched.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/run/shrink.h"
#include "harness/run/sweep.h"

namespace dsv4 {

/// Returns the cases to try again, the most important ones first. One case of each group comes before a second case of
/// any group. A group has the same op, scenario, verdict and first sign of the difference. Within a group, small cases
/// come first. At most `most` cases, but one of every group.
CaseList cases_to_confirm(const std::map<std::string, CaseResult>& results, std::size_t most);

/// Tries chosen differing cases of `results` again. Sets `confirmed` and `note` of each, and `reproduce` if a sequence
/// is needed. The verdict stays. `earlier(id)` returns the cases that ran before the case in its process.
void confirm(const SweepOptions& options, std::map<std::string, CaseResult>& results,
             const std::function<CaseList(const std::string& id)>& earlier);

}  // namespace dsv4
