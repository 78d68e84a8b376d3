#include "harness/report/run_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {

void Tally::add(const CaseResult& result) {
  ++verdicts[static_cast<std::size_t>(result.verdict)];
  // Only passed cases show how close correct results come to the bound. The errors of other cases do not show this.
  if (result.verdict == Verdict::kPassed) tightness = std::max(tightness, result.tightness());
  seconds += result.seconds;
}

std::size_t Tally::cases() const {
  std::size_t n = 0;
  for (const std::size_t v : verdicts) n += v;
  return n;
}

std::size_t Tally::differing() const { return of(Verdict::kFailed) + of(Verdict::kError) + of(Verdict::kMistrusted); }

std::size_t Tally::ran() const { return cases() - of(Verdict::kUnsupported) - of(Verdict::kSkipped); }

std::map<std::string, Tally> SetRun::by_op() const {
  std::map<std::string, Tally> tallies;
  for (const CaseResult& r : results) tallies[r.op()].add(r);
  return tallies;
}

Tally SetRun::total() const {
  Tally t;
  for (const CaseResult& r : results) t.add(r);
  return t;
}

std::map<std::string, KnownFaultUse> SetRun::known_faults() const {
  std::map<std::string, KnownFaultUse> uses;
  for (const CaseResult& r : results) {
    if (r.known_fault.empty()) continue;
    KnownFaultUse& use = uses[r.known_fault];
    ++use.cases;
    if (r.verdict == Verdict::kKnown || r.verdict == Verdict::kFailed || r.verdict == Verdict::kError) ++use.shown;
  }
  return uses;
}

std::map<std::string, std::size_t> SetRun::reasons_not_run() const {
  std::map<std::string, std::size_t> reasons;
  for (const CaseResult& r : results) {
    if (r.verdict != Verdict::kUnsupported && r.verdict != Verdict::kSkipped) continue;
    ++reasons[fmt::format("{}: {}", name_of(r.verdict), r.reason)];
  }
  return reasons;
}

std::map<std::string, std::size_t> SetRun::told() const {
  std::map<std::string, std::size_t> sentences;
  for (const CaseResult& r : results) {
    for (const std::string& sentence : r.told) ++sentences[sentence];
  }
  return sentences;
}

Tally RunReport::total() const {
  Tally t;
  for (const SetRun& run : runs) {
    for (const CaseResult& r : run.results) t.add(r);
  }
  return t;
}

int exit_status(const RunReport& report) {
  if (!report.failure.empty()) return 2;
  if (report.signal != 0 && !report.open_ended) return 128 + report.signal;
  const Tally total = report.total();
  if (total.differing() != 0) return 1;
  return total.ran() == 0 ? 2 : 0;
}

std::string verdict_line(const RunReport& report) {
  const Tally total = report.total();
  std::string counts = fmt::format("{} cases", total.cases());
  for (const Verdict v : {Verdict::kFailed, Verdict::kError, Verdict::kMistrusted, Verdict::kKnown,
                          Verdict::kUnsupported, Verdict::kSkipped}) {
    if (total.of(v) != 0) counts += fmt::format(", {} {}", total.of(v), name_of(v));
  }
  counts += fmt::format(" ({})", format_seconds(report.wall_seconds));
  if (!report.failure.empty()) {
    // The text of an internal error already says that dsv4diff is wrong.
    const char* whose = InternalError::is_in(report.failure) ? "" : "the command or the environment is wrong: ";
    return fmt::format("{}{}; so far {}", whose, one_line(report.failure), counts);
  }
  if (report.signal != 0 && !report.open_ended) return fmt::format("interrupted: so far {}", counts);
  if (total.differing() != 0) return "differs: " + counts;
  if (total.ran() == 0) return "nothing was tested: " + counts;
  return "agrees: " + counts;
}

}  // namespace dsv4
