/// Makes the report that is printed on the terminal.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "harness/report/describe_case.h"
#include "harness/report/layout.h"
#include "harness/report/run_report.h"

namespace dsv4 {

struct TerminalOptions {
  /// Number of kinds of failure that are told in full for each set. Without a number, as many as fit on one screen.
  std::optional<std::size_t> shown = {};
  bool verbose = false;  ///< passed cases are printed as well
  Layout layout = {};
};

/// Returns the report. It has for each set a table of the ops, the reasons why cases did not run, the known faults, the
/// outputs with other bits, and the differing cases. At its end it names what was not covered, and says the verdict.
/// Lines fit into the width of the layout, except for long names, case ids and commands.
std::string terminal_report(const RunReport& report, const TerminalOptions& options = {});

/// Says what a set was made from and where it runs, for example "in-tree, g++ 12.2.0, x86_64, CUDA code run by the
/// host executor".
std::string describe_origin(const std::string& device, const std::map<std::string, std::string>& provenance);

/// Returns one line for each known fault. It says how often the fault showed, or that it did not show.
std::vector<std::string> describe_known_faults(const SetRun& run);

}  // namespace dsv4
