/// Makes the report that is printed on the terminal.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

struct TerminalOptions {
  std::size_t shown = 20;  ///< number of differing cases that are printed in full for each set
  bool verbose = false;    ///< passed cases are printed as well
};

/// Returns the report. It has for each set a table of the ops, the reasons why cases did not run, the known faults, the
/// outputs with other bits, and the differing cases. At its end it names what was not covered, and says the verdict.
/// The table and the last lines fit into 80 columns, except for long names and case ids.
std::string terminal_report(const RunReport& report, const TerminalOptions& options = {});

/// Describes one case in several lines: verdict and id, reason, outputs outside their tolerance, findings, known fault,
/// and the command that reproduces it.
std::string describe_case(const CaseResult& result);

/// Says what a set was made from and where it runs, for example "in-tree, g++ 12.2.0, x86_64, CUDA code run by the
/// host executor".
std::string describe_origin(const std::string& device, const std::map<std::string, std::string>& provenance);

/// Returns one line for each known fault. It says how often the fault showed, or that it did not show.
std::vector<std::string> describe_known_faults(const SetRun& run);

}  // namespace dsv4
