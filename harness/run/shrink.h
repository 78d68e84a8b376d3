/// Finds the earlier cases that a failure depends on. A case fails after other cases in the same process, but agrees
/// when it runs alone. So the process keeps a state between calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace dsv4 {

/// Case ids in the order in which they run.
using CaseList = std::vector<std::string>;

struct Shrunk {
  CaseList cases;         ///< the earlier cases that make the failure come back; empty if none were found
  bool complete = false;  ///< true if the search ended by itself, false if `may_go_on` ended it
};

/// Returns a short part of `earlier`, in the same order, after which the failure comes back. `fails` tries a list in a
/// new process. It is never called with an empty list, because the failure does not come back alone. `may_go_on` is
/// asked before each try.
///
/// First it tries the last case, the last two, the last four and so on, up to the whole list. Then it removes from the
/// list what is not needed (delta debugging): halves first, then smaller parts, until no single case can be removed.
Shrunk shrink(const CaseList& earlier, const std::function<bool(const CaseList&)>& fails,
              const std::function<bool()>& may_go_on);

}  // namespace dsv4
