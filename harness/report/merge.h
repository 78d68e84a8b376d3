/// Joins the reports of shards into one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4 {

/// A report and the file that it came from.
using NamedReport = std::pair<std::string, RunReport>;

/// One report that holds the results of all. Parts of one sweep (same set and other side) must have been made by the
/// same version with the same options from the same build of the set, and be each shard once; sweeps of different sets
/// may be joined freely. Throws Error that names the files otherwise. `partial`: shards may be missing.
RunReport merge_reports(const std::vector<NamedReport>& reports, bool partial);

}  // namespace dsv4
