#include "harness/report/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/text.h"
#include "harness/report/differing_cases.h"
#include "harness/report/summary.h"

namespace dsv4 {
namespace {

constexpr std::size_t kMostOutputs = 10;  // with other bits, that are listed for each set
constexpr std::size_t kMostNames = 5;     // of what was not covered, that are listed for each kind

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

std::string table(const SetRun& run, const Layout& layout) {
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
  for (int goes = 1; text.find('\n') > layout.width && goes <= 3; ++goes) {
    std::erase_if(columns, [&](const Column& column) { return column.goes == goes; });
    text = draw();
  }
  // Colours come last, because their codes would count as characters of a cell.
  std::vector<bool> wrong{false};  // rows of ops with a differing case
  for (const auto& [op, tally] : by_op) wrong.push_back(tally.differing() != 0);
  std::string colored;
  for (std::size_t row = 0; !text.empty(); ++row) {
    const std::string line = text.substr(0, text.find('\n'));
    text.erase(0, line.size() + 1);
    const bool bad = row < wrong.size() && wrong[row];
    colored += (row == 0 ? painted(layout, Paint::kBold, line)
                : bad    ? painted(layout, Paint::kBad, line)
                         : line) +
               "\n";
  }
  return colored;
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

}  // namespace

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
      lines.push_back(fmt::format("known variant {}: upstream changed this on purpose. It showed in {} of {}", id,
                                  use.shown, count_of(use.cases, "case")));
    } else if (kind != run.known_kinds.end() && kind->second == "undefined") {
      lines.push_back(fmt::format("known fault {} leaves the result undefined in {}. It showed in {} of them", id,
                                  count_of(use.cases, "case"), use.shown));
    } else if (use.shown == 0) {
      lines.push_back(
          fmt::format("known fault {} did not show, although its conditions hold in {}: "
                      "it is fixed, or does not show on this device or in this run",
                      id, count_of(use.cases, "case")));
    } else {
      lines.push_back(fmt::format("known fault {} showed in {} of {}", id, use.shown, count_of(use.cases, "case")));
    }
  }
  for (const auto& [id, cases] : run.not_excused()) {
    const auto why = run.edited_faults.find(id);
    lines.push_back(fmt::format("known fault {} may show: {}, so its {} not excused", id,
                                why == run.edited_faults.end() ? "a source file was edited" : why->second,
                                count_of(cases, "case was", "cases were")));
  }
  return lines;
}

std::string terminal_report(const RunReport& report, const TerminalOptions& options) {
  const Layout& layout = options.layout;
  const auto line = [&](const std::string& text) { return lines_of(layout, text); };
  // What was not tried stands at the end, where nobody overlooks it. Several sweeps of one set say the same.
  std::string end;
  std::set<std::string> said;
  const auto say_once = [&](const std::string& text) {
    if (said.insert(text).second) end += line(text);
  };
  for (const SetRun& run : report.runs) {
    for (const std::string& text : describe_not_covered(run, kMostNames))
      say_once(fmt::format("{}: {}", run.set_label, text));
    for (const std::string& text : run.warnings) say_once(text);
  }
  end += painted_lines(layout, exit_status(report) == 0 ? Paint::kGood : Paint::kBad, line(verdict_line(report)));

  std::string text;
  for (const SetRun& run : report.runs) {
    std::string head = line(fmt::format("{} against {} ({})", run.set_label, run.against,
                                        describe_origin(run.device, run.provenance))) +
                       "\n" + table(run, layout) + "\n";
    std::string after;
    for (const auto& [reason, n] : run.reasons_not_run()) after += line(fmt::format("{} {}", n, reason));
    for (const auto& [sentence, n] : run.told()) after += line(fmt::format("in {}: {}", count_of(n, "case"), sentence));
    for (const std::string& fault : describe_known_faults(run)) after += line(fault);
    for (const std::string& bits : describe_bits(run, kMostOutputs)) after += line(bits);
    for (const auto& [note, n] : run.notes_of_agreeing()) after += line(fmt::format("{} agrees: {}", n, note));
    for (const CaseResult& r : run.results) {
      if (options.verbose && r.verdict == Verdict::kPassed) after += describe_passed(r);
    }
    const std::size_t used = rows_of(layout, head) + rows_of(layout, after) + rows_of(layout, end) + 1;
    const std::size_t rows = kScreenRows / report.runs.size();
    const std::string differing =
        differing_cases(run.results, {.shown = options.shown, .rows = rows > used ? rows - used : 0, .layout = layout});
    after += after.empty() && !differing.empty() ? differing.substr(1) : differing;
    text += head + after + (after.empty() ? "" : "\n");
  }
  return text + end;
}

}  // namespace dsv4
