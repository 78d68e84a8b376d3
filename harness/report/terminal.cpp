#include "harness/report/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

std::string count(std::size_t n) { return n == 0 ? "." : std::to_string(n); }

std::vector<std::string> row(const std::string& name, const Tally& t) {
  return {name,
          count(t.cases()),
          count(t.of(Verdict::kPassed)),
          count(t.of(Verdict::kFailed)),
          count(t.of(Verdict::kKnown)),
          count(t.of(Verdict::kError)),
          count(t.of(Verdict::kMistrusted)),
          count(t.of(Verdict::kUnsupported)),
          count(t.of(Verdict::kSkipped)),
          format_tightness(t.tightness),
          fmt::format("{:.2f}", t.seconds)};
}

std::string element(const std::string& label, const std::optional<ElementDifference>& d, bool bounded) {
  if (!d) return "";
  std::string text = fmt::format("    {} at {}: got {}, want {}", label, format_shape(d->at), d->got, d->want);
  if (bounded) text += fmt::format(", error {:.3g}, bound {:.3g}", d->error, d->bound);
  return text + "\n";
}

std::string output(const OutputReport& o) {
  const bool bounded = o.tolerance == "bound";
  std::string text = fmt::format("  output {}: {} of {} elements outside the tolerance ({}: {})\n", o.name,
                                 o.violations, o.compared, o.tolerance, o.reason);
  text += element("first", o.first, bounded);
  if (o.worst && o.first && o.worst->at != o.first->at) text += element("worst", o.worst, bounded);
  return text;
}

/// Describes an error whose reason was printed with an earlier case.
std::string describe_repeated(const CaseResult& r) {
  return fmt::format("{} {}\n  the same reason as an error above\n  reproduce: {}\n", name_of(r.verdict), r.id,
                     one_line(r.reproduce));
}

}  // namespace

std::string describe_case(const CaseResult& r) {
  std::string text = fmt::format("{} {}\n", name_of(r.verdict), r.id);
  if (!r.reason.empty()) text += fmt::format("  {}\n", one_line(r.reason));
  for (const OutputReport& o : r.outputs) {
    if (o.violations != 0) text += printable(output(o));
  }
  for (const Finding& f : r.findings) text += fmt::format("  finding {}: {}\n", one_line(f.check), one_line(f.detail));
  if (!r.known_fault.empty()) text += fmt::format("  known fault: {}\n", one_line(r.known_fault));
  return text + fmt::format("  reproduce: {}\n", one_line(r.reproduce));
}

std::string describe_origin(const std::string& device, const std::map<std::string, std::string>& provenance) {
  std::vector<std::string> parts;
  const auto part = [&](const char* name) {
    const auto it = provenance.find(name);
    return it == provenance.end() ? std::string() : it->second;
  };
  std::string package = part("package") + (part("version").empty() ? "" : " " + part("version"));
  // A checkout that tells no version is named after the release that most of its sources agree with.
  if (part("version").empty() && !part("release").empty()) {
    package = fmt::format("{} without a version (nearest release: {})", part("package"), part("release"));
  }
  for (const std::string& text : {package, part("compiler"), part("arch")}) {
    if (text.find_first_not_of(' ') != std::string::npos) parts.push_back(one_line(text));
  }
  const std::string gpu = one_line(part("gpu")), driver = one_line(part("driver"));
  parts.emplace_back(device == "simt"   ? "CUDA code run by the host executor"
                     : device != "cuda" ? "CPU code"
                     : gpu.empty()      ? "on a GPU"
                                        : "on an " + gpu);
  if (!driver.empty()) parts.push_back("driver " + driver);
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> describe_known_faults(const SetRun& run) {
  std::vector<std::string> lines;
  for (const auto& [id, use] : run.known_faults()) {
    lines.push_back(
        use.shown == 0 ? fmt::format("known fault {} did not show in any of the {} cases in which its conditions hold: "
                                     "it is fixed, or does not show on this device or in this run",
                                     id, use.cases)
                       : fmt::format("known fault {} showed in {} of {} cases", id, use.shown, use.cases));
  }
  return lines;
}

std::string terminal_report(const RunReport& report, const TerminalOptions& options) {
  std::string text;
  for (const SetRun& run : report.runs) {
    text += fmt::format("{} against {}  ({})\n\n", one_line(run.set_label), one_line(run.against),
                        describe_origin(run.device, run.provenance));
    std::vector<std::vector<std::string>> rows{{"op", "cases", "passed", "failed", "known", "error", "mistrusted",
                                                "unsupported", "skipped", "error/bound", "seconds"}};
    const auto by_op = run.by_op();
    for (const auto& [op, tally] : by_op) rows.push_back(row(one_line(op), tally));
    if (by_op.size() != 1) rows.push_back(row("all", run.total()));
    text += align(rows, {false, true, true, true, true, true, true, true, true, true, true});
    text += "\n";
    const std::size_t table_end = text.size();
    for (const auto& [reason, n] : run.reasons_not_run()) text += fmt::format("{} {}\n", n, one_line(reason));
    for (const auto& [sentence, n] : run.told())
      text += fmt::format("in {} case{}: {}\n", n, n == 1 ? "" : "s", one_line(sentence));
    for (const std::string& line : describe_known_faults(run)) text += one_line(line) + "\n";
    std::size_t told = 0;
    // Reasons of errors that were printed. Many cases may have the same reason, for example a changed module.
    std::set<std::string> errors;
    for (const CaseResult& r : run.results) {
      const bool differs =
          r.verdict == Verdict::kFailed || r.verdict == Verdict::kError || r.verdict == Verdict::kMistrusted;
      if (!differs || told++ >= options.shown) continue;
      const bool repeated = r.verdict == Verdict::kError && !errors.insert(r.reason).second;
      text += "\n" + (repeated ? describe_repeated(r) : describe_case(r));
    }
    if (told > options.shown) {
      text += fmt::format("\n... and {} more differing cases: --show N prints more of them, --json FILE contains all\n",
                          told - options.shown);
    }
    if (text.size() != table_end) text += "\n";
  }
  return text + verdict_line(report) + "\n";
}

}  // namespace dsv4
