/// Statistics of the errors of one output against the double-precision reference.
///
/// The error of an element is got - want. It is measured in two units:
///   - ulp: the signed distance in the order of the output's dtype;
///   - share: error / bound. The bound of an interval is its width. A share is clipped to -1..1 in sums, because a
///     verdict tells elements outside their tolerance, and one of them must not outweigh all others.
///
/// Each signed measure has two directions. "up" is got - want. "away" is the same times the sign of want: it is
/// positive if the element is farther from zero than the reference. A truncation moves elements toward zero. If as many
/// elements are positive as negative, only the direction "away" shows this.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/verdict/element.h"

namespace dsv4 {

/// A measure in both directions.
struct Directions {
  double up = 0;
  double away = 0;
  bool operator==(const Directions&) const = default;
};

/// Sums of signed shares over the elements of an output. A row is the last dimension of the output. Elements of a row
/// depend on each other, for instance by a common factor. Rows with the same bits in the reference have the same inputs
/// and errors, so they count as one row.
struct ErrorSums {
  std::int64_t rows = 0;   ///< rows with an element that has a bound above 0
  Directions sum;          ///< sum of the shares
  double sum_abs = 0;      ///< sum of their absolute values
  double sum_squares = 0;  ///< sum of their squares
  /// Sum over the rows of the squared sum of the row. In ErrorStatistics, each row is taken relative to the mean of the
  /// output. In PairedErrors it is not.
  Directions row_squares;
  bool operator==(const ErrorSums&) const = default;
};

struct ErrorStatistics {
  static constexpr std::size_t kShares = 20;  ///< buckets of |error|/bound between 0 and 1

  std::int64_t elements = 0;    ///< finite on both sides, and not excused by a known fault
  std::int64_t same = 0;        ///< those with the bits of the reference, rounded to the output's dtype
  std::int64_t not_finite = 0;  ///< NaN or infinite on a side
  std::int64_t excused = 0;     ///< excused by a known fault
  /// Number of elements in each log2 bucket of the signed ulp. A bucket is named by its number that is nearest to zero:
  /// 0, 1 (1), 2 (2 and 3), 4 (4 to 7), ..., -1, -2 (-2 and -3), ...
  std::map<std::int64_t, std::int64_t> ulp;
  /// Number of elements in kShares equal buckets of |error|/bound from 0 to 1, then those above 1. Only elements with a
  /// bound above 0 are counted, and elements that have none and differ.
  std::array<std::int64_t, kShares + 1> share{};
  std::int64_t bounded = 0;  ///< number of elements in `share`
  Directions mean_ulp;       ///< over `elements`
  Directions mean_share;     ///< over `bounded`; shares are clipped to -1..1
  double largest_share = 0;  ///< largest |error|/bound; infinite if an element without a bound differs
  ErrorSums sums;
  /// The element with the largest share, or the most ulp if no element has a share. Absent if no element differs.
  std::optional<ElementDifference> worst;

  bool operator==(const ErrorStatistics&) const = default;
};

/// The bucket of ErrorStatistics::ulp in which a distance lies.
std::int64_t ulp_bucket(std::int64_t ulp);

/// Compares two sets element by element. The set under test ("this") and the other set got the same inputs.
struct PairedErrors {
  ErrorStatistics other;              ///< the errors of the other set against the reference
  std::int64_t other_violations = 0;  ///< its elements outside the tolerance that no known fault explains
  std::int64_t compared = 0;          ///< elements that no known fault excuses
  std::int64_t same = 0;              ///< those with the same bits in both sets, or with NaN in both
  ErrorSums difference;               ///< of the signed share of this set minus that of the other set
  bool operator==(const PairedErrors&) const = default;
};

void to_json(nlohmann::json& j, const ErrorStatistics& e);
void from_json(const nlohmann::json& j, ErrorStatistics& e);
void to_json(nlohmann::json& j, const PairedErrors& e);
void from_json(const nlohmann::json& j, PairedErrors& e);

}  // namespace dsv4
