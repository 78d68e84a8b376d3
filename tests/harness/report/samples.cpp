#include "tests/harness/report/samples.h"

#include <cmath>
#include <limits>

namespace dsv4::report_test {

using std::string_literals::operator""s;

/// With the suffix s, the string also holds the characters after the NUL.
const std::string kHostile = "]]><b onclick=\"x\">&amp;' \x1b[2J\x07 \xff\xfe \xe2\x80\xae | ` \n# head\t\0end"s;

CaseResult result(const std::string& id, Verdict verdict, const std::string& reason) {
  CaseResult r;
  r.id = id;
  r.set_label = r.set_name = "host";
  r.against = "reference";
  r.verdict = verdict;
  r.reason = reason;
  r.seconds = 0.5;
  r.reproduce = "dsv4diff run --set host --case " + id;
  return r;
}

CaseResult failed() {
  CaseResult r = result("topk_v1/k=512/seed=1", Verdict::kFailed, "selected: 2 of 512 elements outside the tolerance");
  OutputReport o;
  o.name = "selected";
  o.tolerance = "bound";
  o.reason = "accumulation";
  o.compared = 512;
  o.violations = o.different = 2;
  o.tightness = std::numeric_limits<double>::infinity();
  o.first = ElementDifference{{0, 3}, "1 (0x3f800000)", "2 (0x40000000)", 1.0, 0.5};
  o.worst = ElementDifference{{1, 7}, "nan (0x7fc00000)", "5 (0x40a00000)", std::nan(""), 0.25};
  r.outputs = {o};
  r.findings = {{"guard", "4 bytes after 'scores' changed"}};
  return r;
}

RunReport report(std::vector<CaseResult> results) {
  RunReport r;
  r.command = "run";
  r.version = "1.2.3";
  r.options = {{"tier", "quick"}, {"seed", "1"}};
  r.shards = {Shard{}};
  r.wall_seconds = 3;
  r.jobs = 2;
  SetRun run;
  run.set_label = run.set_name = "host";
  run.against = "reference";
  run.device = "simt";
  run.provenance = {{"package", "dsv4diff"}, {"version", "1"}, {"compiler", "g++"}};
  run.results = std::move(results);
  r.runs = {run};
  return r;
}

}  // namespace dsv4::report_test
