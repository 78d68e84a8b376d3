/// The report on the terminal.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

struct TerminalOptions {
  std::size_t shown = 20;  ///< differing cases told in full, per set
};

/// Table per op, why cases did not run, known faults, the differing cases, and the verdict as last line.
std::string terminal_report(const RunReport& report, const TerminalOptions& options = {});

/// Everything that there is to say about one case, several lines: verdict and id, reason, outputs, findings, and the
/// command that reproduces it.
std::string describe_case(const CaseResult& result);

/// "in-tree, g++ 12.2.0, x86_64; runs simulated on the CPU": what a set was made from.
std::string describe_origin(const std::string& device, const std::map<std::string, std::string>& provenance);

/// Known faults in one line each: how often they showed, or that one did not.
std::vector<std::string> describe_known_faults(const SetRun& run);

}  // namespace dsv4
