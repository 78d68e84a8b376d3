/// JUnit XML, as continuous-integration servers read it.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// Returns a report with one test suite for each set and op, and one test case for each case. The verdicts failed
/// and mistrusted become failures, and the verdict error becomes an error. The verdicts known, unsupported and
/// skipped become skipped tests with a reason. If the run failed or a signal ended it, one more suite has an error
/// that says why.
std::string junit_report(const RunReport& report);

}  // namespace dsv4
