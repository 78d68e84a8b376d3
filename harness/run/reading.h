/// Turns outcomes of worker processes into results, and makes the commands that run cases again.
#pragma once

#include <string>
#include <vector>

#include "harness/run/sweep.h"

namespace dsv4 {

/// Returns the answer of a worker. If the worker gave no answer, returns the result of the crash: `error`, or `known`
/// if a known fault covers it.
CaseAnswer read_answer(const SweepOptions& options, const Outcome& outcome);

/// The command that runs the case again, alone.
std::string reproduction(const SweepOptions& options, const std::string& id);
/// The command that runs these cases in this order, in one process.
std::string reproduction(const SweepOptions& options, const std::vector<std::string>& sequence);

}  // namespace dsv4
