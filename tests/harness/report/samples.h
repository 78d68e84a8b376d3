/// Sample reports for the tests of harness/report.
#pragma once

#include <string>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4::report_test {

/// Text that could break a report: markup, control characters, bytes that are not UTF-8, a direction override.
extern const std::string kHostile;

CaseResult result(const std::string& id, Verdict verdict, const std::string& reason = "");
/// A case that failed, with a first and a worst element and a finding.
CaseResult failed();
/// A run of `host` with these results.
RunReport report(std::vector<CaseResult> results);

}  // namespace dsv4::report_test
