/// Sample reports for the tests of harness/report.
#pragma once

#include <string>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4::report_test {

/// Text that could break a report: markup, control characters, bytes that are not UTF-8, and a direction override.
extern const std::string kHostile;

CaseResult result(const std::string& id, Verdict verdict, const std::string& reason = "");
/// The result of a failed case. It names a first and a worst wrong element, and has a finding.
CaseResult failed();
/// The report of a run of set `host` with these results.
RunReport report(std::vector<CaseResult> results);

}  // namespace dsv4::report_test
