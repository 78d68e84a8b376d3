#include "harness/report/differing_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/core/text.h"
#include "harness/report/describe_case.h"
#include "harness/report/failure_kinds.h"
#include "harness/report/in_common.h"

namespace dsv4 {
namespace {

constexpr std::size_t kMostBrief = 4;  // kinds that have one line each, after those that are told in full

/// "63 of 297 cases differ like this (2 contracts, 5 relations)".
std::string extent(const FailureKind& kind, std::size_t ran) {
  std::map<std::string, std::size_t> scenarios;
  for (const ReportedCase& c : kind.cases) {
    if (!c.plain()) ++scenarios[c.parts.scenario.substr(0, c.parts.scenario.find(':'))];
  }
  std::string parts;
  for (const auto& [name, n] : scenarios) parts += (parts.empty() ? "" : ", ") + count_of(n, name);
  if (!parts.empty() && kind.plain() != 0) parts = fmt::format("{} plain, {}", kind.plain(), parts);
  if (!parts.empty()) parts = fmt::format(" ({})", parts);
  return fmt::format("{} of {} of {}{}", kind.cases.size(), count_of(ran, "case"), kind.op, parts);
}

/// "failed in indices, range"; an error has no place.
std::string verdict_of(const FailureKind& kind) {
  return kind.where.empty() ? std::string(name_of(kind.verdict))
                            : fmt::format("{} in {}", name_of(kind.verdict), kind.where);
}

std::string in_full(const FailureKind& kind, const SortedResults& sorted, std::size_t ran, CaseTeller& teller,
                    const Layout& layout) {
  const CaseResult& r = kind.simplest();
  std::string text = "\n" + teller.heading(r) + teller.differences(r);
  const bool alone = kind.cases.size() == 1;
  text += lines_of(
      layout,
      fmt::format("  {}: {} {}", alone ? "only this case" : "cases like this", extent(kind, ran), verdict_of(kind)), 4);
  if (const std::string common = in_common(kind, sorted.passed); !common.empty())
    text += lines_of(layout, "  in common: " + common, 4);
  return text + teller.command(r);
}

std::string brief(const FailureKind& kind, const Layout& layout) {
  return lines_of(layout,
                  fmt::format("{} of {} {}; the simplest is {}", count_of(kind.cases.size(), "case"), kind.op,
                              verdict_of(kind), kind.simplest().id),
                  2);
}

/// Describes `full` kinds in full, and the others in brief.
std::string told(const SortedResults& sorted, const std::map<std::string, std::size_t>& ran, std::size_t full,
                 const Layout& layout) {
  std::string text;
  CaseTeller teller(layout);
  const auto& kinds = sorted.kinds;
  full = std::min(full, kinds.size());
  for (std::size_t i = 0; i < full; ++i) text += in_full(kinds[i], sorted, ran.at(kinds[i].op), teller, layout);
  if (full == kinds.size()) return text;
  text += "\n";
  const std::size_t listed = std::min(kinds.size(), full + kMostBrief);
  for (std::size_t i = full; i < listed; ++i) text += brief(kinds[i], layout);
  std::size_t rest = 0;
  for (std::size_t i = listed; i < kinds.size(); ++i) rest += kinds[i].cases.size();
  if (rest != 0) {
    text += lines_of(layout, fmt::format("... and {} of {}", count_of(rest, "more differing case"),
                                         count_of(kinds.size() - listed, "more kind")));
  }
  return text + lines_of(layout, "--show N tells N kinds in full, --json FILE has every case");
}

}  // namespace

std::string differing_cases(const std::vector<CaseResult>& results, const DifferingOptions& options) {
  const SortedResults sorted = sort_by_kind(results);
  if (sorted.kinds.empty()) return "";
  std::map<std::string, std::size_t> ran;
  for (const CaseResult& r : results) {
    if (r.verdict != Verdict::kUnsupported && r.verdict != Verdict::kSkipped) ++ran[r.op()];
  }
  if (options.shown) return told(sorted, ran, *options.shown, options.layout);
  std::string text = told(sorted, ran, 1, options.layout);
  for (std::size_t full = 2; full <= sorted.kinds.size(); ++full) {
    std::string more = told(sorted, ran, full, options.layout);
    if (rows_of(options.layout, more) > options.rows) break;
    text = std::move(more);
  }
  return text;
}

}  // namespace dsv4
