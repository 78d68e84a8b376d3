/// What a report says in its last lines: how many bits differ from those of the other side, and what was not tried.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "harness/report/run_report.h"

namespace dsv4 {

/// The kinds of SetRun::not_covered: a stable name, and how a report counts them.
struct UncoveredKind {
  const char* name;
  const char* singular;
  const char* plural;
};
inline constexpr const char* kSourcesInNoModule = "source_files";
inline constexpr const char* kFunctionsOfNoOp = "functions";
inline constexpr const char* kOpsNotInSet = "ops_not_in_set";
inline constexpr const char* kOpsNotInOther = "ops_not_in_other_set";
inline constexpr const char* kOpsWithoutGolden = "ops_without_golden";
inline constexpr const char* kCasesWithoutGolden = "cases_without_golden";
inline constexpr std::array<UncoveredKind, 6> kUncoveredKinds{{
    {kSourcesInNoModule, "source file in no module", "source files in no module"},
    {kFunctionsOfNoOp, "function of upstream that no op calls", "functions of upstream that no op calls"},
    {kOpsNotInSet, "op that the set lacks", "ops that the set lacks"},
    {kOpsNotInOther, "op that the other set lacks", "ops that the other set lacks"},
    {kOpsWithoutGolden, "op without a golden", "ops without a golden"},
    {kCasesWithoutGolden, "case without a golden", "cases without a golden"},
}};

/// One output of an op over all cases of a sweep, compared with the bits of the other side.
struct OutputBits {
  std::string op;
  std::string output;
  std::size_t cases = 0;       ///< cases in which the output was compared
  std::size_t other_bits = 0;  ///< those in which an element has other bits
  BitComparison bits;          ///< sums over the cases, and the largest distances
  std::string farthest;        ///< the case with the largest share of the bound, or, without a bound, the most ulp
  double recorded = 0;         ///< largest error/bound that the golden recorded, over the passed cases
  double now = 0;              ///< largest error/bound of this run over the same cases
  std::string tightest;        ///< the case with error/bound `now`

  /// True if error/bound is larger than recorded, in the digits that a report prints.
  [[nodiscard]] bool rose() const;
};

/// Returns the outputs that were compared with bits, by op and output.
std::vector<OutputBits> bits_by_output(const SetRun& run);

/// Says which outputs have other bits than the other side, how many, how far and in which case, and where error/bound
/// rose. At most `most` outputs are listed. Without a comparison with bits there are no lines.
std::vector<std::string> describe_bits(const SetRun& run, std::size_t most);

/// Returns what the report's sweeps could not try, for example {"11 source files in no module", "16 sequences
/// unsupported"}.
std::vector<std::string> count_not_covered(const RunReport& report);

/// Names what is in SetRun::not_covered, one line for each kind. At most `most` names are listed.
std::vector<std::string> describe_not_covered(const SetRun& run, std::size_t most);

/// True if `kind`, a kind of SetRun::not_covered, is one that --require-all does not allow: an op or a case without a
/// golden.
bool is_without_golden(std::string_view kind);

/// True if an op or a case has no golden.
bool lacks_goldens(const RunReport& report);

}  // namespace dsv4
