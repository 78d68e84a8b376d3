/// Compares the verdicts of one case on two kernel sets. What both sets do alike is not a change.
#pragma once

#include <set>
#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

/// What is wrong in a case, without numbers and texts: the names of the outputs and checks that disagree, and for a
/// case without a comparison its verdict or the cause of its error. Empty if nothing is wrong. Known faults are wrong
/// too.
std::set<std::string> faults_of(const CaseResult& result);

/// Judges again a case of `run --against OTHER` that is failed, error or mistrusted.
///
/// `other_alone` is the result of the same case with OTHER in both roles. `subject_alone` is that of the set under test
/// in both roles; it is needed only for a crash of a case without a scenario, because either side may have crashed, and
/// may be null otherwise. The case passes with the change "alike" if the set under test does nothing that OTHER does
/// not do by itself:
///   - A scenario tries the set under test only. Both sets must be wrong in the same checks and outputs.
///   - A case without a scenario compares two sets. If OTHER disagrees with itself in all that differs, for example
///     because memory is read that nobody wrote, or if its own outputs are wrong in the same way, then nothing changed.
/// Otherwise the reason says which side is wrong.
void excuse_if_alike(CaseResult& result, const CaseResult& other_alone, const CaseResult* subject_alone);

/// Judges again a case of `run --baseline BASE`. Both results are comparisons with the same other side. If both sets
/// are wrong in the same checks and outputs, the case passes with the change "alike". If only one is wrong, or each in
/// another way, sets the change, and the reason says what the baseline did. A case that a known fault excuses is not a
/// change. What the baseline could not run counts as right there.
void compare_with_baseline(CaseResult& result, const CaseResult& baseline);

}  // namespace dsv4
