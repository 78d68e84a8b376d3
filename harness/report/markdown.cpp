#include "harness/report/markdown.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/text.h"
#include "harness/report/describe_case.h"
#include "harness/report/differing_cases.h"
#include "harness/report/summary.h"
#include "harness/report/terminal.h"

namespace dsv4 {
namespace {

constexpr std::size_t kMostKinds = 5;
constexpr std::size_t kMostCases = 50;
constexpr std::size_t kMostLines = 50;
constexpr std::size_t kLongestCase = 4000;

/// Returns the text in a fenced code block. The fence is longer than any sequence of backticks in the text. Long text
/// is cut.
std::string fenced(std::string text) {
  if (text.size() > kLongestCase) text = text.substr(0, kLongestCase) + "\n...\n";
  std::size_t longest = 0;
  std::size_t ticks = 0;
  for (const char c : text) {
    ticks = c == '`' ? ticks + 1 : 0;
    longest = std::max(longest, ticks);
  }
  const std::string fence(std::max<std::size_t>(3, longest + 1), '`');
  return fmt::format("{}text\n{}{}\n", fence, printable(text), fence);
}

/// Returns `text` as inline code if no character in it could end the code or the table cell. Otherwise returns
/// it escaped.
std::string code(const std::string& text) {
  const bool plain = text.find_first_of("`|\\") == std::string::npos && one_line(text) == text;
  return plain && !text.empty() ? "`" + text + "`" : markdown_escape(text);
}

std::string table_row(const std::string& name, const Tally& t, bool bits) {
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", name, t.cases(), t.of(Verdict::kPassed),
                     t.of(Verdict::kFailed), t.of(Verdict::kKnown), t.of(Verdict::kError), t.of(Verdict::kMistrusted),
                     t.of(Verdict::kUnsupported) + t.of(Verdict::kSkipped),
                     bits ? fmt::format("{} of {}", t.same_bits, t.bits_compared) : format_tightness(t.tightness));
}

std::string set_section(const SetRun& run) {
  std::string text =
      fmt::format("### {} against {}\n\n{}\n\n", markdown_escape(run.set_label), markdown_escape(run.against),
                  markdown_escape(describe_origin(run.device, run.provenance)));
  const bool bits = run.total().bits_compared != 0;
  text += fmt::format("| op | cases | passed | failed | known | error | mistrusted | not run | {} |\n",
                      bits ? "same bits" : "error/bound");
  text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  const auto by_op = run.by_op();
  for (const auto& [op, tally] : by_op) text += table_row(code(op), tally, bits);
  if (by_op.size() != 1) text += table_row("**all**", run.total(), bits);
  text += "\n";
  for (const auto& [reason, n] : run.reasons_not_run()) text += fmt::format("- {} {}\n", n, markdown_escape(reason));
  for (const auto& [sentence, n] : run.told())
    text += fmt::format("- in {} case{}: {}\n", n, n == 1 ? "" : "s", markdown_escape(sentence));
  for (const auto& lines : {describe_known_faults(run), describe_bits(run, kMostLines),
                            describe_not_covered(run, kMostLines), run.warnings}) {
    for (const std::string& line : lines) text += fmt::format("- {}\n", markdown_escape(line));
  }

  if (const std::string kinds = differing_cases(run.results, {.shown = kMostKinds}); !kinds.empty())
    text += "\n" + fenced(kinds.substr(1));

  std::size_t told = 0;
  std::string cases;
  for (const CaseResult& r : run.results) {
    if (r.verdict != Verdict::kFailed && r.verdict != Verdict::kError && r.verdict != Verdict::kMistrusted) continue;
    if (told++ < kMostCases) cases += fenced(describe_case(r)) + "\n";
  }
  if (told != 0) {
    text += fmt::format("\n<details><summary>{}{}</summary>\n\n{}</details>\n", count_of(told, "differing case"),
                        told > kMostCases ? fmt::format(", the first {}", kMostCases) : "", cases);
  }
  return text + "\n";
}

}  // namespace

std::string markdown_escape(std::string_view text) {
  std::string out;
  for (const char c : one_line(text)) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      if (std::string_view("\\`*_[]|#~!@").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_report(const RunReport& report) {
  const int status = exit_status(report);
  const char* mark = status == 0 ? "✅" : status == 1 ? "❌" : "⚠️";
  std::string text = fmt::format("## {} dsv4diff {}\n\n**{}**\n\n", mark, markdown_escape(report.command),
                                 markdown_escape(verdict_line(report)));
  for (const SetRun& run : report.runs) text += set_section(run);
  std::string options;
  for (const auto& [name, value] : report.options) options += fmt::format(" {}={}", name, value);
  return text + fmt::format("<sub>dsv4diff {},{}</sub>\n", markdown_escape(report.version), markdown_escape(options));
}

}  // namespace dsv4
