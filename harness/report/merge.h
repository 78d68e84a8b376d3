/// Joins the reports of shards into one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4 {

/// A report and the file that it came from.
using NamedReport = std::pair<std::string, RunReport>;

/// Joins reports into one with all results. Reports with the same set and the same other side are parts of one sweep.
/// They must come from the same version, with the same options and the same build of the set. Each shard must occur
/// once; with `partial`, shards may be missing. Sweeps of different sets only need the same version. Otherwise throws
/// an Error that names the files.
RunReport merge_reports(const std::vector<NamedReport>& reports, bool partial);

}  // namespace dsv4
