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

/// True if a case of `run --against OTHER` that differs is wrong in the same way when OTHER has both roles.
/// `other_alone` is the result of the case with OTHER in both roles.
bool other_does_it_alone(const CaseResult& result, const CaseResult& other_alone);

/// Judges again a case of `run --against OTHER` that is failed, error or mistrusted. The case passes with the change
/// "alike" if each set is wrong in this way by itself:
///   - A scenario tries the set under test only. Both sets must be wrong in the same checks and outputs.
///   - A case without a scenario compares two sets. Each set, compared with itself, must be wrong in all that is wrong
///     between them, for example because it reads memory that nobody wrote, or because its own outputs are invalid.
/// Otherwise the reason names the side that is wrong, if only one of them is.
///
/// `subject_alone` is the result with the set under test in both roles. It may be null for a scenario, and if
/// other_does_it_alone() is false.
void excuse_if_alike(CaseResult& result, const CaseResult& other_alone, const CaseResult* subject_alone);

/// True if a case differs, and only because the set edited the source file of a known fault that `old`, the result of
/// another set, shows. Whether the edit changed the fault is not known yet (excuse_if_known_unedited()).
bool may_have_known_fault(const CaseResult& result, const CaseResult& old);

/// Judges again a case for which may_have_known_fault() is true. `unedited` is the result of the same set, judged as if
/// it had the source files of the other set. If the known faults explain everything there, the case passes with the
/// change "alike". `other` is the name of the other set.
void excuse_if_known_unedited(CaseResult& result, const CaseResult& unedited, const std::string& other);

/// Judges again a case of `run --baseline BASE`. Both results are comparisons with the same other side. If both sets
/// are wrong in the same checks and outputs, the case passes with the change "alike". If only one is wrong, or each in
/// another way, sets the change, and the reason says what the baseline did. A case that a known fault excuses is not a
/// change. What the baseline could not run counts as right there.
void compare_with_baseline(CaseResult& result, const CaseResult& baseline);

}  // namespace dsv4
