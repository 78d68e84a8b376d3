/// JUnit XML, as continuous-integration servers read it.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// One test suite per set and op, one test case per case. The verdicts failed and mistrusted are failures, and error is
/// an error. known, unsupported and skipped are skipped, with the reason.
std::string junit_report(const RunReport& report);

}  // namespace dsv4
