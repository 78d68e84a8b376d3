#include "harness/report/run_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/report/summary.h"

namespace dsv4 {

void Tally::add(const CaseResult& result) {
  ++verdicts[static_cast<std::size_t>(result.verdict)];
  // Only right results show how close right results come to the bound.
  if (result.verdict == Verdict::kPassed && result.change != "alike")
    tightness = std::max(tightness, result.tightness());
  seconds += result.seconds;
  if (const auto same = result.same_bits()) {
    ++bits_compared;
    if (*same) ++same_bits;
  }
  if (!result.change.empty()) ++changes[result.change];
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

std::map<std::string, std::size_t> SetRun::not_excused() const {
  std::map<std::string, std::size_t> cases;
  for (const CaseResult& r : results) {
    if (!r.not_excused.empty()) ++cases[r.not_excused];
  }
  return cases;
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

std::map<std::string, std::size_t> SetRun::notes_of_agreeing() const {
  std::map<std::string, std::size_t> notes;
  for (const CaseResult& r : results) {
    if (!r.note.empty() && (r.verdict == Verdict::kPassed || r.verdict == Verdict::kKnown)) ++notes[r.note];
  }
  return notes;
}

Tally RunReport::total() const {
  Tally t;
  for (const SetRun& run : runs) {
    for (const CaseResult& r : run.results) t.add(r);
  }
  return t;
}

int exit_status(const RunReport& report) {
  if (report.unfinished) return 2;
  if (!report.failure.empty()) return 2;
  if (report.signal != 0 && !report.open_ended) return 128 + report.signal;
  const Tally total = report.total();
  if (total.differing() != 0) return 1;
  if (total.ran() == 0) return 2;
  return report.require_all && lacks_goldens(report) ? 1 : 0;
}

namespace {

/// Returns what follows the counts in the verdict line: the bits, the changes, and what was not tried.
std::string remarks(const RunReport& report, const Tally& total) {
  std::string text;
  if (total.bits_compared != 0)
    text += fmt::format("; same bits in {} of {}", total.same_bits, count_of(total.bits_compared, "case"));
  const auto change = [&](const char* name, std::string_view singular, std::string_view plural) {
    const auto it = total.changes.find(name);
    if (it != total.changes.end()) text += "; " + count_of(it->second, singular, plural);
  };
  change("new", "case is newly wrong", "cases are newly wrong");
  change("changed", "case is wrong in another way", "cases are wrong in another way");
  change("mended", "case is mended", "cases are mended");
  change("alike", "case is wrong on both sides alike", "cases are wrong on both sides alike");
  std::size_t rises = 0;
  for (const SetRun& run : report.runs) {
    rises += static_cast<std::size_t>(std::ranges::count_if(bits_by_output(run), &OutputBits::rose));
  }
  if (rises != 0) text += fmt::format("; error/bound rose in {}", count_of(rises, "output"));
  if (const auto parts = count_not_covered(report); !parts.empty())
    text += fmt::format("; NOT COVERED: {}", fmt::join(parts, ", "));
  return text;
}

}  // namespace

std::string verdict_line(const RunReport& report) {
  const Tally total = report.total();
  if (report.unfinished) return "this run did not finish: it was killed, or it is still running";
  std::string counts = count_of(total.ran(), "case");
  for (const Verdict v : {Verdict::kFailed, Verdict::kError, Verdict::kMistrusted, Verdict::kKnown}) {
    if (total.of(v) != 0) counts += fmt::format(", {} {}", total.of(v), name_of(v));
  }
  counts += fmt::format(" ({})", format_seconds(report.wall_seconds)) + remarks(report, total);
  if (!report.failure.empty()) {
    // The text of an internal error already says that dsv4diff is wrong.
    const char* whose = InternalError::is_in(report.failure) ? "" : "the command or the environment is wrong: ";
    return fmt::format("{}{}; so far {}", whose, one_line(report.failure), counts);
  }
  if (report.signal != 0 && !report.open_ended) return fmt::format("interrupted: so far {}", counts);
  if (total.differing() != 0) return "differs: " + counts;
  if (total.ran() == 0) return "nothing was tested: " + counts;
  if (exit_status(report) != 0) return "incomplete, which --require-all does not allow: " + counts;
  return "agrees: " + counts;
}

}  // namespace dsv4
