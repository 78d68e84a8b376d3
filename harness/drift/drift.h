/// What `dsv4diff drift` finds: for each pair of sets and each output, how the errors against the reference differ.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/drift/shift_test.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// The errors of one set in one output, over all compared cases.
struct OutputErrors {
  std::int64_t elements = 0;
  std::int64_t same = 0;  ///< with the bits of the rounded reference
  std::int64_t bounded = 0;
  std::int64_t excused = 0;
  std::int64_t outside = 0;  ///< outside the tolerance
  std::map<std::int64_t, std::int64_t> ulp;
  std::array<std::int64_t, ErrorStatistics::kShares + 1> share{};
  Directions sum_ulp;
  Directions sum_share;
  double sum_squares = 0;
  double largest_share = 0;
  std::string largest_case;  ///< the case with `largest_share`; "" if no element differs from the reference
  std::optional<ElementDifference> worst;

  void add(const std::string& id, const ErrorStatistics& errors, std::int64_t violations);
  [[nodiscard]] Directions mean_ulp() const;
  [[nodiscard]] Directions mean_share() const;
  [[nodiscard]] double rms_share() const;
};

/// One output of an op in two sets.
struct OutputDrift {
  enum class Conclusion {
    kSame,       ///< every compared element has the same bits; in files, all statistics are equal
    kNoShift,    ///< the test found no shift
    kUndecided,  ///< elements differ, but so few that no shift could have been found
    kShift,
  };
  std::string op;
  std::string output;
  std::size_t cases = 0;      ///< compared
  std::size_t differing = 0;  ///< those of them in which the sets differ
  OutputErrors a;
  OutputErrors b;
  /// Compared elements, and those with the same bits in both sets. Absent if a side is a results file.
  std::optional<std::int64_t> compared, same;
  ShiftTest up;
  ShiftTest away;
  Conclusion conclusion = Conclusion::kSame;
  std::vector<CaseMovement> up_cases, away_cases;  ///< what the tests are made of

  /// The test that tells more: the one that found a shift, or has the smaller p.
  [[nodiscard]] const ShiftTest& decisive() const;
  /// "up", "down", "away from zero" or "toward zero".
  [[nodiscard]] const char* direction() const;
};

std::string_view name_of(OutputDrift::Conclusion conclusion);

/// How set `b` drifted from set `a`.
struct PairDrift {
  std::string a;
  std::string b;
  std::vector<OutputDrift> outputs;              ///< sorted by op and output; only those that have statistics
  std::size_t cases = 0;                         ///< cases that ran on both sides
  std::map<std::string, std::string> one_sided;  ///< cases that are wrong on one side, or differently: id -> reason
  std::map<std::string, std::string> errors;     ///< cases that ended in an error: id -> reason
  std::size_t wrong_alike = 0;                   ///< cases that are wrong on both sides in the same outputs and checks
  std::size_t known = 0;                         ///< cases that differ only by known faults
  std::map<std::string, std::size_t> not_run;    ///< reasons (unsupported, skipped), with the number of cases
  std::set<std::string> exact;                   ///< "op output": exact outputs
  std::int64_t excused = 0;                      ///< elements that known faults excuse, in any set
  /// Outputs of cases that could not be paired, because known faults or NaN leave other elements, or because a side has
  /// no statistics of them.
  std::size_t not_paired = 0;
  /// Cases that have the seed of another case of their op. Their data may repeat, so they are not independent.
  std::size_t shared_seeds = 0;
  std::size_t only_a = 0, only_b = 0;                        ///< cases that only one of two results files has
  std::map<std::string, std::set<std::string>> ops_lacking;  ///< set -> ops that it lacks

  [[nodiscard]] std::size_t number_of(OutputDrift::Conclusion conclusion) const;
};

/// Makes a pair from the results of drift_case().
PairDrift pair_of(const std::string& a, const std::string& b, const std::vector<CaseResult>& results);

/// Makes a pair from two runs with --errors. Their elements cannot be paired, so the test takes the largest movement
/// and variance that the sums of both sides allow, and finds less.
PairDrift pair_of_runs(const std::string& a, const std::vector<CaseResult>& results_a, const std::string& b,
                       const std::vector<CaseResult>& results_b);

/// Tests all outputs of all pairs as one family, and sets their conclusions.
void find_shifts(std::vector<PairDrift>& pairs);

/// 0: no shift. 1: a shift, a case that is wrong on one side only, or an error. 2: in a pair, no output was compared.
int exit_status(const std::vector<PairDrift>& pairs);

nlohmann::json drift_json(const std::vector<PairDrift>& pairs);

}  // namespace dsv4
