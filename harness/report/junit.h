/// JUnit XML, as continuous-integration servers read it.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// Returns a report with one test suite for each set and op, and one test case for each case. The verdicts failed
/// and mistrusted become failures, and the verdict error becomes an error. The verdicts known, unsupported and
/// skipped become skipped tests with a reason. One more suite tells about the whole run: it has an error if the run
/// failed, did not finish or was ended by a signal, and a skipped test for each kind of thing that was not covered.
/// With --require-all, an op or a case without a golden is a failure. The root's counts include every suite.
std::string junit_report(const RunReport& report);

}  // namespace dsv4
