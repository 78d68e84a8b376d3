#include "harness/drift/drift_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "harness/core/text.h"
#include "harness/drift/histogram.h"

namespace dsv4 {
namespace {

using Conclusion = OutputDrift::Conclusion;
constexpr std::size_t kMostNamed = 5;  ///< cases or names that are listed of each kind

std::string percent(double share) { return fmt::format("{:.{}f} %", 100 * share, std::fabs(share) < 0.0995 ? 1 : 0); }

std::string share_of(std::int64_t part, std::int64_t whole) {
  if (part == whole) return whole == 0 ? "-" : "100 %";
  // Elements that differ must not disappear in rounding.
  return fmt::format("{:.1f} %", std::min(99.9, 100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

std::string name_of(const OutputDrift& o) { return o.op + " " + o.output; }

std::string table(const PairDrift& pair, const Layout& layout) {
  std::vector<std::vector<std::string>> rows{{"output", "differ", "same", "net", "finds", "p"}};
  for (const OutputDrift& o : pair.outputs) {
    if (o.conclusion == Conclusion::kSame) continue;
    const ShiftTest& t = o.decisive();
    rows.push_back({name_of(o), fmt::format("{}/{}", o.differing, o.cases),
                    o.compared ? share_of(*o.same, *o.compared) : "?", percent(t.net),
                    o.conclusion == Conclusion::kUndecided ? "." : percent(t.detectable),
                    t.adjusted < 1e-99 ? "0" : fmt::format("{:.1g}", t.adjusted)});
  }
  if (rows.size() == 1) return "";
  std::vector<bool> right{false, true, true, true, true, true};
  std::string text = align(rows, right);
  // On a narrow terminal, the columns that say least go first. --json has them all.
  for (const std::size_t column : {1u, 3u}) {
    const auto lines = split(text, '\n');
    if (std::ranges::all_of(lines, [&](const std::string& line) { return width_of(line) <= layout.width; })) break;
    for (auto& row : rows) row.erase(row.begin() + column);
    right.pop_back();
    text = align(rows, right);
  }
  std::string out;
  std::size_t row = 0;
  const auto shown = [&](const std::string& line) {
    if (row++ == 0) return painted(layout, Paint::kFaint, line);
    return line;
  };
  for (const std::string& line : split(text, '\n')) out += shown(line) + "\n";
  return out + "\n";
}

std::string numbers(const PairDrift& pair, const OutputDrift& o) {
  constexpr std::size_t kName = 24;  // columns for the name of a set
  std::vector<std::vector<std::string>> rows{{"", end_of(pair.a, kName), end_of(pair.b, kName)}};
  const auto row = [&](const char* label, const auto& cell) { rows.push_back({label, cell(o.a), cell(o.b)}); };
  const auto number = [](double x) { return fmt::format("{:+.3g}", x); };
  row("mean error/bound", [&](const OutputErrors& e) { return number(e.mean_share().up); });
  row("  away from zero", [&](const OutputErrors& e) { return number(e.mean_share().away); });
  row("root mean square", [&](const OutputErrors& e) { return fmt::format("{:.3g}", e.rms_share()); });
  row("largest", [&](const OutputErrors& e) { return fmt::format("{:.3g}", e.largest_share); });
  row("mean ulp", [&](const OutputErrors& e) { return number(e.mean_ulp().up); });
  row("  away from zero", [&](const OutputErrors& e) { return number(e.mean_ulp().away); });
  row("with the reference's bits", [&](const OutputErrors& e) { return share_of(e.same, e.elements); });
  row("outside the tolerance", [&](const OutputErrors& e) { return fmt::format("{}", e.outside); });
  return align(rows, {false, true, true});
}

/// Says what the test found.
std::string explained(const PairDrift& pair, const OutputDrift& o) {
  const ShiftTest& t = o.decisive();
  const std::string a = one_line(pair.a), b = one_line(pair.b);
  switch (o.conclusion) {
    case Conclusion::kSame:
      return o.compared ? "the same bits in every compared element" : "the same statistics in every case";
    case Conclusion::kUndecided:
      if (!o.compared) {
        return "undecided: results files have sums only, which do not show a shift of few elements. 'dsv4diff drift' "
               "of "
               "the two sets tells";
      }
      return "undecided: so few cases and rows differ that the test could not tell even a movement of all elements in "
             "one direction. It needs fewer outputs (--op) or more cases (--tier full)";
    case Conclusion::kNoShift:
      return fmt::format(
          "no shift: {} of the movement from {} to {} is net, with p = {:.2g}; {} and more would be told",
          percent(t.net), a, b, t.adjusted, percent(t.detectable));
    case Conclusion::kShift:
      return fmt::format("shift {}: {} of the movement from {} to {} is net, in {} of {} cases, with p = {:.2g}",
                         o.direction(), percent(std::fabs(t.net)), a, b, o.differing, o.cases, t.adjusted);
  }
  return "";
}

std::string details(const PairDrift& pair, const OutputDrift& o, const Layout& layout) {
  std::string text = painted_lines(layout, o.conclusion == Conclusion::kShift ? Paint::kBad : Paint::kBold,
                                   lines_of(layout, fmt::format("{}: {}", name_of(o), explained(pair, o))));
  for (const std::string& line : split(numbers(pair, o), '\n')) text += "  " + line + "\n";
  text += histograms(pair, o, layout);
  for (const auto& [label, errors] : {std::pair{&pair.a, &o.a}, std::pair{&pair.b, &o.b}}) {
    if (!errors->worst) continue;
    text += lines_of(layout,
                     fmt::format("  {}: largest {:.3g} of the bound at {}: got {}, want {}; case {}", one_line(*label),
                                 errors->largest_share, format_shape(errors->worst->at), one_line(errors->worst->got),
                                 one_line(errors->worst->want), errors->largest_case),
                     4);
  }
  return text + "\n";
}

std::string named(const std::map<std::string, std::string>& cases, const Layout& layout) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& [id, reason] : cases) {
    if (shown++ == kMostNamed) break;
    text += lines_of(layout, fmt::format("  {}: {}", id, one_line(reason)), 4);
  }
  if (cases.size() > kMostNamed) text += fmt::format("  and {} more\n", cases.size() - kMostNamed);
  return text;
}

std::string differences(const PairDrift& pair, const Layout& layout) {
  std::string text;
  const auto part = [&](const std::map<std::string, std::string>& cases, const std::string& heading) {
    if (cases.empty()) return;
    text += painted_lines(layout, Paint::kBad, lines_of(layout, heading)) + named(cases, layout);
  };
  part(pair.one_sided, fmt::format("{} wrong on one side only, or in another way (more in 'dsv4diff run --case ID'):",
                                   count_of(pair.one_sided.size(), "case is", "cases are")));
  part(pair.errors, fmt::format("{} in an error:", count_of(pair.errors.size(), "case ended", "cases ended")));
  return text;
}

std::vector<std::string> not_compared(const PairDrift& pair) {
  std::vector<std::string> lines;
  const auto add = [&](std::size_t n, const std::string& line) {
    if (n != 0) lines.push_back(line);
  };
  std::vector<std::string> undecided;
  for (const OutputDrift& o : pair.outputs) {
    if (o.conclusion == Conclusion::kUndecided) undecided.push_back(name_of(o));
  }
  add(undecided.size(),
      fmt::format("undecided, because too few elements differ for the test (try --op OP or --tier full): {}",
                  fmt::join(undecided, ", ")));
  add(pair.exact.size(), fmt::format("{}: their bits are fixed, so each side was compared with the reference only",
                                     count_of(pair.exact.size(), "exact output")));
  for (const auto& [set, ops] : pair.ops_lacking)
    add(ops.size(),
        fmt::format("{} that {} lacks: {}", count_of(ops.size(), "op"), one_line(set), fmt::join(ops, ", ")));
  std::size_t shown = 0;
  for (const auto& [reason, n] : pair.not_run) {
    if (shown++ == kMostNamed) break;
    lines.push_back(fmt::format("{} not run: {}", count_of(n, "case"), shortened(one_line(reason), 150)));
  }
  if (pair.not_run.size() > kMostNamed)
    lines.push_back(fmt::format("cases not run for {} more reasons", pair.not_run.size() - kMostNamed));
  add(pair.known, fmt::format("{} by known faults; the outputs that they explain were left out",
                              count_of(pair.known, "case differs", "cases differ")));
  add(static_cast<std::size_t>(pair.excused),
      fmt::format("{} that known faults excuse", count_of(static_cast<std::size_t>(pair.excused), "element")));
  add(pair.not_paired, fmt::format("{} of single cases: a known fault explains them, the finite elements are not the "
                                   "same, or a side has no statistics",
                                   count_of(pair.not_paired, "output")));
  add(pair.wrong_alike, fmt::format("{} wrong on both sides in the same outputs and checks ('dsv4diff run' tells them)",
                                    count_of(pair.wrong_alike, "case is", "cases are")));
  add(pair.shared_seeds, fmt::format("{} the seed of another case of the op. Their data may repeat, so p may be too "
                                     "small, and a shift may be chance (--own-seeds)",
                                     count_of(pair.shared_seeds, "case has", "cases have")));
  add(pair.only_a + pair.only_b, fmt::format("{} only {} has, {} only {} has", count_of(pair.only_a, "case"),
                                             one_line(pair.a), count_of(pair.only_b, "case"), one_line(pair.b)));
  return lines;
}

std::string verdict(const std::vector<PairDrift>& pairs) {
  std::size_t shifts = 0, undecided = 0, one_sided = 0, errors = 0, outputs = 0, cases = 0, differing = 0;
  for (const PairDrift& pair : pairs) {
    shifts += pair.number_of(Conclusion::kShift);
    undecided += pair.number_of(Conclusion::kUndecided);
    one_sided += pair.one_sided.size();
    errors += pair.errors.size();
    outputs += pair.outputs.size();
    differing += pair.outputs.size() - pair.number_of(Conclusion::kSame);
    cases += pair.cases;
  }
  const bool nothing = std::ranges::any_of(pairs, [](const PairDrift& p) { return p.outputs.empty(); });
  if (nothing && one_sided + errors == 0) {
    return pairs.size() == 1 ? "nothing was compared: no case has an output with errors on both sides"
                             : "in a pair, nothing was compared: no case has an output with errors on both sides";
  }
  std::string text = shifts != 0
                         ? fmt::format("shift in {} of {}", shifts, count_of(outputs, "output"))
                         : fmt::format("no shift in {} of {}", outputs - undecided, count_of(outputs, "output"));
  text += fmt::format(", {} with other bits, {}", differing, count_of(cases, "case"));
  if (one_sided != 0) text += fmt::format("; {} wrong on one side only", count_of(one_sided, "case is", "cases are"));
  if (errors != 0) text += fmt::format("; {}", count_of(errors, "error"));
  if (undecided != 0) text += fmt::format("; {} UNDECIDED", count_of(undecided, "output"));
  return text;
}

}  // namespace

std::string drift_text(const std::vector<PairDrift>& pairs, const Layout& layout, bool all) {
  std::string text;
  for (const PairDrift& pair : pairs) {
    const std::size_t same = pair.number_of(Conclusion::kSame);
    text += painted_lines(
        layout, Paint::kBold,
        lines_of(layout, fmt::format("from {} to {}: {} in {}", one_line(pair.a), one_line(pair.b),
                                     count_of(pair.outputs.size(), "output"), count_of(pair.cases, "case"))));
    text += table(pair, layout);
    if (same != 0) {
      const bool bits = std::ranges::all_of(pair.outputs, [](const OutputDrift& o) { return o.compared.has_value(); });
      text += lines_of(layout, fmt::format("{} the same {} in every case", count_of(same, "output has", "outputs have"),
                                           bits ? "bits" : "statistics"));
    }
    for (const OutputDrift& o : pair.outputs) {
      if (all || o.conclusion == Conclusion::kShift) text += details(pair, o, layout);
    }
    text += differences(pair, layout);
    const auto left_out = not_compared(pair);
    text += "NOT COMPARED:\n";
    for (const std::string& line : left_out) text += lines_of(layout, "  " + line, 4);
    text += lines_of(layout, "  contracts, relations and sequences, which test one set alone ('dsv4diff run')", 4);
    text += "\n";
  }
  const bool good = exit_status(pairs) == 0;
  return text + painted_lines(layout, good ? Paint::kGood : Paint::kBad, lines_of(layout, verdict(pairs)));
}

}  // namespace dsv4
