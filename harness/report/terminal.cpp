#include "harness/report/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/text.h"
#include "harness/report/summary.h"

namespace dsv4 {
namespace {

constexpr std::size_t kWidth = 80;        // of a line that this report breaks
constexpr std::size_t kMostOutputs = 10;  // with other bits, that are listed for each set
constexpr std::size_t kMostNames = 5;     // of what was not covered, that are listed for each kind

/// Breaks a text into lines that fit. A case id or a path may be too long for any line.
std::string lines_of(const std::string& text) { return wrap(one_line(text), kWidth, 2) + "\n"; }

std::string count(std::size_t n) { return n == 0 ? "." : std::to_string(n); }

/// A column of the table of ops.
struct Column {
  const char* name;
  std::string (*cell)(const Tally&);
  int goes = 0;  ///< order in which columns are left out of a table that is too wide, from 1; 0 stays
};

template <Verdict... V>
std::string number_of(const Tally& t) {
  return count((t.of(V) + ...));
}

/// The columns that say something about a set: a column of a verdict that no case has is left out.
std::vector<Column> columns_for(const Tally& total) {
  std::vector<Column> columns{{"cases", [](const Tally& t) { return count(t.cases()); }},
                              {"passed", number_of<Verdict::kPassed>, 2},
                              {"failed", number_of<Verdict::kFailed>}};
  const auto if_any = [&](bool any, const Column& column) {
    if (any) columns.push_back(column);
  };
  if_any(total.of(Verdict::kKnown) != 0, {"known", number_of<Verdict::kKnown>});
  if_any(total.of(Verdict::kError) != 0, {"error", number_of<Verdict::kError>});
  if_any(total.of(Verdict::kMistrusted) != 0, {"mistrusted", number_of<Verdict::kMistrusted>});
  if_any(total.cases() != total.ran(), {"not run", number_of<Verdict::kUnsupported, Verdict::kSkipped>});
  // Only plain cases are compared with a kernel set or a golden; scenarios are still compared with the reference. Their
  // error/bound would look as if bits had changed.
  const auto same_bits = [](const Tally& t) {
    return t.bits_compared == 0 ? "." : fmt::format("{}/{}", t.same_bits, t.bits_compared);
  };
  if (total.bits_compared != 0) {
    columns.push_back({"same bits", same_bits, 3});
  } else {
    columns.push_back({"error/bound", [](const Tally& t) { return format_tightness(t.tightness); }, 3});
  }
  columns.push_back({"seconds", [](const Tally& t) { return fmt::format("{:.2f}", t.seconds); }, 1});
  return columns;
}

std::string table(const SetRun& run) {
  const auto by_op = run.by_op();
  const Tally total = run.total();
  std::vector<Column> columns = columns_for(total);
  const auto draw = [&] {
    std::vector<std::vector<std::string>> rows{{"op"}};
    for (const Column& column : columns) rows.front().emplace_back(column.name);
    const auto add = [&](const std::string& name, const Tally& tally) {
      rows.push_back({name});
      for (const Column& column : columns) rows.back().push_back(column.cell(tally));
    };
    for (const auto& [op, tally] : by_op) add(one_line(op), tally);
    if (by_op.size() != 1) add("all", total);
    std::vector<bool> right(rows.front().size(), true);
    right[0] = false;
    return align(rows, right);
  };
  std::string text = draw();
  for (int goes = 1; text.find('\n') > kWidth && goes <= 3; ++goes) {
    std::erase_if(columns, [&](const Column& column) { return column.goes == goes; });
    text = draw();
  }
  return text;
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

/// The command that runs the case again, and what is known about it.
std::string reproduction(const CaseResult& r) {
  std::string text = r.note.empty() ? "" : fmt::format("  {}\n", one_line(r.note));
  const char* label = r.confirmed == Confirmed::kNotAgain ? "once more (may agree)" : "reproduce";
  return text + fmt::format("  {}: {}\n", label, one_line(r.reproduce));
}

/// Describes a passed case: its time, and for each output what was compared and how close it came.
std::string describe_passed(const CaseResult& r) {
  std::string text = fmt::format("passed {} ({})\n", r.id, format_seconds(r.seconds));
  for (const OutputReport& o : r.outputs) {
    text += fmt::format("  output {}: {} elements, {}", one_line(o.name), o.compared, o.tolerance);
    if (o.tightness != 0) text += fmt::format(", error/bound {}", format_tightness(o.tightness));
    text += o.different == 0 ? ", same bits" : fmt::format(", other bits in {}", o.different);
    text += "\n";
  }
  if (!r.note.empty()) text += fmt::format("  {}\n", one_line(r.note));
  return text;
}

/// Returns the differing cases: first those that were tried again, because their commands are known to differ.
std::vector<const CaseResult*> differing(const SetRun& run) {
  std::vector<const CaseResult*> list;
  for (const CaseResult& r : run.results) {
    if (is_difference(r.verdict)) list.push_back(&r);
  }
  std::ranges::stable_partition(list, [](const CaseResult* r) { return r->confirmed != Confirmed::kNotTried; });
  return list;
}

/// Describes an error whose reason was printed with an earlier case.
std::string describe_repeated(const CaseResult& r) {
  return fmt::format("{} {}\n  the same reason as an error above\n", name_of(r.verdict), r.id) + reproduction(r);
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
  return text + reproduction(r);
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
    const auto kind = run.known_kinds.find(id);
    if (kind != run.known_kinds.end() && kind->second == "variant") {
      lines.push_back(fmt::format("known variant {}: upstream changed this on purpose. It showed in {} of {} cases", id,
                                  use.shown, use.cases));
    } else if (kind != run.known_kinds.end() && kind->second == "undefined") {
      lines.push_back(fmt::format("known fault {} leaves the result undefined in {} cases. It showed in {} of them", id,
                                  use.cases, use.shown));
    } else if (use.shown == 0) {
      lines.push_back(
          fmt::format("known fault {} did not show in any of the {} cases in which its conditions hold: "
                      "it is fixed, or does not show on this device or in this run",
                      id, use.cases));
    } else {
      lines.push_back(fmt::format("known fault {} showed in {} of {} cases", id, use.shown, use.cases));
    }
  }
  for (const auto& [id, cases] : run.not_excused()) {
    const auto why = run.edited_faults.find(id);
    lines.push_back(fmt::format("known fault {} may show: {}, so its {} case{} not excused", id,
                                why == run.edited_faults.end() ? "a source file was edited" : why->second, cases,
                                cases == 1 ? " was" : "s were"));
  }
  return lines;
}

std::string terminal_report(const RunReport& report, const TerminalOptions& options) {
  std::string text;
  for (const SetRun& run : report.runs) {
    text += lines_of(fmt::format("{} against {} ({})", run.set_label, run.against,
                                 describe_origin(run.device, run.provenance))) +
            "\n";
    text += table(run) + "\n";
    const std::size_t table_end = text.size();
    for (const auto& [reason, n] : run.reasons_not_run()) text += lines_of(fmt::format("{} {}", n, reason));
    for (const auto& [sentence, n] : run.told()) {
      text += lines_of(fmt::format("in {} case{}: {}", n, n == 1 ? "" : "s", sentence));
    }
    for (const std::string& line : describe_known_faults(run)) text += lines_of(line);
    for (const std::string& line : describe_bits(run, kMostOutputs)) text += lines_of(line);
    for (const auto& [note, n] : run.notes_of_agreeing()) text += lines_of(fmt::format("{} agrees: {}", n, note));
    for (const CaseResult& r : run.results) {
      if (options.verbose && r.verdict == Verdict::kPassed) text += describe_passed(r);
    }
    std::size_t told = 0;
    // Reasons of errors that were printed. Many cases may have the same reason, for example a changed module.
    std::set<std::string> errors;
    for (const CaseResult* r : differing(run)) {
      if (told++ >= options.shown) continue;
      const bool repeated = r->verdict == Verdict::kError && !errors.insert(r->reason).second;
      text += "\n" + (repeated ? describe_repeated(*r) : describe_case(*r));
    }
    if (told > options.shown) {
      text += "\n" + lines_of(fmt::format("... and {} more differing cases: --show N prints more of them, --json FILE "
                                          "contains all",
                                          told - options.shown));
    }
    if (text.size() != table_end) text += "\n";
  }
  // What was not tried stands at the end, where nobody overlooks it. Several sweeps of one set say the same.
  std::set<std::string> said;
  const auto say_once = [&](const std::string& line) {
    if (said.insert(line).second) text += lines_of(line);
  };
  for (const SetRun& run : report.runs) {
    for (const std::string& line : describe_not_covered(run, kMostNames))
      say_once(fmt::format("{}: {}", run.set_label, line));
    for (const std::string& line : run.warnings) say_once(line);
  }
  return text + lines_of(verdict_line(report));
}

}  // namespace dsv4
