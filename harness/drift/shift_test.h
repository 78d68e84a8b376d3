/// A statistical test for a shift between the errors of two kernel sets. docs/numerics.md explains and justifies it.
#pragma once

#include <compare>
#include <cstddef>
#include <vector>

namespace dsv4 {

/// A family of tests makes a false alarm in at most this share of comparisons.
constexpr double kFalseAlarms = 0.01;
/// A shift is told only if at least this share of all movement is a net movement in one direction.
constexpr double kLeastNet = 0.05;

/// How the elements of one output of one case moved from the first set to the second. The move of an element is the
/// difference of its signed shares of the bound.
struct CaseMovement {
  double sum = 0;      ///< of the moves
  double sum_abs = 0;  ///< of their absolute values; above 0
  /// The variance of `sum`, if the rows are independent and no direction is preferred: the sum over the rows of the
  /// squared sum of the row's moves. At least the sum of the squared moves, which is the variance of independent
  /// elements.
  double variance = 0;
  auto operator<=>(const CaseMovement&) const = default;
};

struct ShiftTest {
  std::size_t cases = 0;  ///< number of cases in which elements moved
  double net = 0;         ///< net movement as a share of all movement, -1..1; the weighted mean over the cases
  double error = 0;       ///< standard error of `net`
  double degrees = 0;     ///< degrees of freedom of Student's t; 0 if there are too few cases for a test
  double p = 1;           ///< two-sided
  /// No p is smaller: the chance that so many cases all move in one direction, if each one moves as a whole and either
  /// direction is equally likely.
  double least_p = 1;
  double adjusted = 1;    ///< p, corrected for the number of tests (adjust())
  double detectable = 1;  ///< the smallest net movement that the corrected test could have told; at most 1

  /// True if the movement is significant and not negligible.
  [[nodiscard]] bool shifted() const;
  /// True if even a movement of all elements in one direction would not have been significant.
  [[nodiscard]] bool blind() const { return detectable >= 1; }
};

/// Tests whether the cases move in one direction. Each case is one observation, because its elements may depend on each
/// other.
ShiftTest test_shift(const std::vector<CaseMovement>& cases);

/// Corrects a family of tests by Holm's method: sets `adjusted` and `detectable`.
void adjust(const std::vector<ShiftTest*>& family);

}  // namespace dsv4
