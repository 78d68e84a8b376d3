#include "harness/report/failure_kinds.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <tuple>
#include <utility>

#include "harness/case/work.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

ReportedCase split(const CaseResult& r) {
  ReportedCase c{.result = &r, .parts = {}};
  try {
    c.parts = parse_case_id(r.id);
  } catch (const Error&) {
    c.parts.op = r.op();  // results of another version may have other ids
  }
  return c;
}

bool differs(const CaseResult& r) {
  return r.verdict == Verdict::kFailed || r.verdict == Verdict::kError || r.verdict == Verdict::kMistrusted;
}

/// How often each value of each parameter occurs in the cases of an op.
using Usage = std::map<std::pair<std::string, std::string>, std::size_t>;

/// Orders cases from the simplest to the most complicated. A value that few cases have makes a case complicated.
class Simplicity {
 public:
  explicit Simplicity(const std::vector<ReportedCase>& all) {
    for (const ReportedCase& c : all) {
      for (const auto& pair : c.parts.params.pairs()) ++usage_[c.parts.op][pair];
    }
    for (const auto& [op, usage] : usage_) {
      for (const auto& [pair, n] : usage) {
        std::size_t& most = most_[{op, pair.first}];
        most = std::max(most, n);
      }
    }
  }

  [[nodiscard]] double complexity(const ReportedCase& c) const {
    double unusual = 0;
    for (const auto& pair : c.parts.params.pairs()) {
      if (usage_.at(c.parts.op).at(pair) != most_.at({c.parts.op, pair.first})) unusual += 1;
    }
    return expected_work(c.parts) + unusual;
  }

  void sort(std::vector<ReportedCase>& cases) const {
    // The command of a case that was tried again is known to differ.
    std::ranges::sort(cases, {}, [&](const ReportedCase& c) {
      return std::tuple(c.result->confirmed == Confirmed::kNotTried, !c.plain(), complexity(c), c.result->id);
    });
  }

 private:
  std::map<std::string, Usage> usage_;
  std::map<std::pair<std::string, std::string>, std::size_t> most_;
};

/// Takes one kind of each op in turn.
std::vector<FailureKind> spread(std::map<std::string, std::vector<FailureKind>> by_op) {
  const auto importance = [](const FailureKind& kind) { return std::pair(kind.plain() != 0, kind.cases.size()); };
  std::vector<std::vector<FailureKind>> ops;
  for (auto& [op, kinds] : by_op) {
    std::ranges::stable_sort(kinds, std::ranges::greater{}, importance);
    ops.push_back(std::move(kinds));
  }
  std::ranges::stable_sort(ops, std::ranges::greater{}, [&](const auto& kinds) { return importance(kinds.front()); });
  std::vector<FailureKind> all;
  for (std::size_t i = 0, before = all.size();; ++i, before = all.size()) {
    for (auto& kinds : ops) {
      if (i < kinds.size()) all.push_back(std::move(kinds[i]));
    }
    if (all.size() == before) return all;
  }
}

}  // namespace

std::size_t FailureKind::plain() const {
  return static_cast<std::size_t>(std::ranges::count_if(cases, &ReportedCase::plain));
}

std::string without_numbers(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
      out += text[i++];
      continue;
    }
    const bool hex = text.compare(i, 2, "0x") == 0;
    if (hex) i += 2;
    const auto part = [&](unsigned char c) { return (hex ? std::isxdigit(c) : std::isdigit(c)) != 0; };
    while (i < text.size() && part(static_cast<unsigned char>(text[i]))) ++i;
    out += '#';
  }
  return out;
}

SortedResults sort_by_kind(const std::vector<CaseResult>& results) {
  std::vector<ReportedCase> all;
  all.reserve(results.size());
  for (const CaseResult& r : results) all.push_back(split(r));
  SortedResults sorted;
  std::map<std::tuple<std::string, Verdict, std::string, std::string>, FailureKind> kinds;
  for (const ReportedCase& c : all) {
    const CaseResult& r = *c.result;
    if (r.verdict == Verdict::kPassed) sorted.passed.push_back(c);
    if (!differs(r)) continue;
    const std::string where = fmt::format("{}", fmt::join(r.disagreeing(), ", "));
    const std::string why = where.empty() || r.verdict == Verdict::kError ? without_numbers(r.reason) : "";
    FailureKind& kind = kinds[{r.op(), r.verdict, where, why}];
    kind.op = r.op();
    kind.verdict = r.verdict;
    kind.where = where;
    kind.cases.push_back(c);
  }
  const Simplicity simplicity(all);
  std::map<std::string, std::vector<FailureKind>> by_op;
  for (auto& [key, kind] : kinds) {
    simplicity.sort(kind.cases);
    by_op[kind.op].push_back(std::move(kind));
  }
  sorted.kinds = spread(std::move(by_op));
  return sorted;
}

}  // namespace dsv4
