/// Groups the differing cases of a sweep by the kind of failure.
#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// A case of a report: its result, and its id in parts. An id that cannot be split has no parameters.
struct ReportedCase {
  const CaseResult* result = nullptr;
  Case parts;

  /// True if the case is not a contract, a relation or a sequence.
  [[nodiscard]] bool plain() const { return parts.scenario.empty(); }
};

/// Cases of one op that differ alike: they have the same verdict, and the same outputs and checks differ. Without such
/// an output or check, as after a crash, the reasons must be the same but for numbers.
struct FailureKind {
  std::string op;
  Verdict verdict = Verdict::kFailed;
  std::string where;                ///< the outputs and checks that differ: "indices, range"; "" if there are none
  std::vector<ReportedCase> cases;  ///< the simplest case first

  [[nodiscard]] const CaseResult& simplest() const { return *cases.front().result; }
  [[nodiscard]] std::size_t plain() const;  ///< number of plain cases
};

/// The results that a report divides into kinds, and those with which it compares them.
struct SortedResults {
  std::vector<FailureKind> kinds;
  std::vector<ReportedCase> passed;
};

/// Groups the results with the verdict failed, error or mistrusted. First comes the most important kind of each op,
/// then the second kind of each op, and so on. Within an op, kinds with a plain case come first, and then those with
/// the most cases. The simplest case is a plain one, with small sizes, and with the values that most cases of its op
/// have. The result refers to `results`.
SortedResults sort_by_kind(const std::vector<CaseResult>& results);

/// `text` with every number written as #. Texts that differ only in numbers become equal.
std::string without_numbers(const std::string& text);

}  // namespace dsv4
