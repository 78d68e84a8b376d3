/// Joins the reports of shards into one report.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4 {

/// The name of a file, and the report that was read from it.
using NamedReport = std::pair<std::string, RunReport>;

/// Joins reports into one report with all results. Reports with the same set and the same other side are parts of one
/// sweep. The parts of a sweep must have the same version of the tool, the same options and the same build of the set.
/// Each shard must occur once. With `partial`, shards may be missing. Sweeps of different sets must have the same
/// version, but may differ in the rest. A report of an unfinished run is
/// refused. If the reports do not fit, throws an Error that names the files.
RunReport merge_reports(const std::vector<NamedReport>& reports, bool partial);

}  // namespace dsv4
