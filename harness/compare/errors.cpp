#include "harness/compare/errors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "harness/compare/compare.h"

namespace dsv4 {
namespace {

/// True if the tolerance allows errors, and all tensors have the form of the reference's output.
bool has_errors(const HostTensor& got, const HostTensor& want, const Tolerance& t) {
  if (got.dtype != want.dtype || got.shape != want.shape) return false;
  if (t.kind == Tolerance::Kind::kBound) return t.bound.shape == want.shape;
  if (t.kind != Tolerance::Kind::kInterval) return false;
  return t.low.shape == want.shape && t.high.shape == want.shape && t.low.dtype == want.dtype &&
         t.high.dtype == want.dtype;
}

/// The bound of element i; the width of an interval. Infinite if the reference allows any value. An interval may belong
/// to another choice than the reference's own, for instance to another scale of a code. Then it does not contain the
/// reference's value, and the error has no bound either: infinite.
double bound_of(const Tolerance& t, std::int64_t i, double reference) {
  if (t.kind == Tolerance::Kind::kBound) return value_of(t.bound.dtype, t.bound.element(i));
  const double low = value_of(t.low.dtype, t.low.element(i)), high = value_of(t.high.dtype, t.high.element(i));
  return low <= reference && reference <= high ? high - low : std::numeric_limits<double>::infinity();
}

/// The error of one element.
struct ElementError {
  bool finite = false;  ///< both values are finite
  double error = 0;     ///< got - want
  double bound = 0;
  double sign = 0;  ///< of the reference's value: -1, 0 or 1

  [[nodiscard]] bool bounded() const { return std::isfinite(bound) && (bound > 0 || error != 0); }
  /// True if the element's share means something: an element without a bound and without an error has the share 0.
  [[nodiscard]] bool comparable() const { return std::isfinite(bound); }
  /// |error|/bound; infinite for an error without a bound.
  [[nodiscard]] double magnitude() const { return error == 0 ? 0 : std::fabs(error) / bound; }
  /// Signed, and clipped to -1..1. 0 if the element has no bound and no error, or an infinite bound.
  [[nodiscard]] double share() const { return bounded() ? std::copysign(std::min(magnitude(), 1.0), error) : 0; }
};

ElementError error_of(const HostTensor& got, const HostTensor& want, const Tolerance& tolerance, std::int64_t i) {
  const double value = value_of(got.dtype, got.element(i));
  const double reference = value_of(want.dtype, want.element(i));
  ElementError e;
  e.finite = std::isfinite(value) && std::isfinite(reference);
  if (!e.finite) return e;
  e.error = value - reference;
  e.bound = bound_of(tolerance, i, reference);
  e.sign = reference == 0 ? 0 : std::copysign(1.0, reference);
  return e;
}

/// Numbers the rows of a tensor. Rows with the same bits have the same number.
std::vector<std::size_t> numbers_of_rows(const HostTensor& t, std::int64_t length) {
  const HostTensor packed = t.packed();
  const auto bytes = static_cast<std::size_t>(length * size_of(t.dtype));
  std::unordered_map<std::string_view, std::size_t> numbers;
  std::vector<std::size_t> rows;
  for (std::size_t at = 0; bytes != 0 && at + bytes <= packed.storage.size(); at += bytes) {
    const std::string_view row(reinterpret_cast<const char*>(packed.storage.data()) + at, bytes);
    rows.push_back(numbers.emplace(row, numbers.size()).first->second);
  }
  return rows;
}

/// Adds up shares over elements and rows.
class Sums {
 public:
  explicit Sums(const HostTensor& want)
      : length_(want.shape.empty() ? 1 : want.shape.back()), number_(numbers_of_rows(want, length_)) {}

  void add(std::int64_t i, double share, double sign) {
    sums_.sum.up += share;
    sums_.sum.away += share * sign;
    sums_.sum_abs += std::fabs(share);
    sums_.sum_squares += share * share;
    Row& row = rows_[number_[static_cast<std::size_t>(i / length_)]];
    row.sum.up += share;
    row.sum.away += share * sign;
    ++row.elements;
    ++elements_;
  }

  /// `centred`: the sum of a row is taken relative to the mean of all elements.
  [[nodiscard]] ErrorSums result(bool centred) const {
    ErrorSums sums = sums_;
    sums.rows = std::ssize(rows_);
    const double scale = centred && elements_ != 0 ? 1.0 / static_cast<double>(elements_) : 0;
    for (const auto& [number, row] : rows_) {
      const auto n = static_cast<double>(row.elements);
      const double up = row.sum.up - n * scale * sums.sum.up;
      const double away = row.sum.away - n * scale * sums.sum.away;
      sums.row_squares.up += up * up;
      sums.row_squares.away += away * away;
    }
    return sums;
  }

 private:
  struct Row {
    Directions sum;
    std::int64_t elements = 0;
  };
  std::int64_t length_;
  std::vector<std::size_t> number_;
  std::map<std::size_t, Row> rows_;
  ErrorSums sums_;
  std::int64_t elements_ = 0;
};

bool is_excused(const ExcusedElements& excused, std::int64_t i) {
  return !excused.ids.empty() && excused.by.get<std::int32_t>(i) != 0;
}

bool same_bits(const HostTensor& a, const HostTensor& b, std::int64_t i) {
  return std::memcmp(a.element(i), b.element(i), static_cast<std::size_t>(size_of(a.dtype))) == 0;
}

/// The bits of a NaN are not specified where an output has a bound or an interval.
bool both_nan(const HostTensor& a, const HostTensor& b, std::int64_t i) {
  return std::isnan(value_of(a.dtype, a.element(i))) && std::isnan(value_of(b.dtype, b.element(i)));
}

/// Signed distance in ulp from `want` to `got`. Both zeros are one number.
std::int64_t signed_ulp(const HostTensor& got, const HostTensor& want, std::int64_t i, double error) {
  if (error == 0) return 0;
  const std::int64_t ulp = ulp_distance(got.dtype, got.element(i), want.element(i));
  return error < 0 ? -ulp : ulp;
}

}  // namespace

std::optional<ErrorStatistics> error_statistics(const Output& got_output, const Output& want_output,
                                                const Tolerance& tolerance, const ExcusedElements& excused) {
  const HostTensor &got = got_output.value, &want = want_output.value;
  if (!has_errors(got, want, tolerance)) return std::nullopt;
  ErrorStatistics s;
  Sums sums(want);
  Directions ulps;
  double worst_share = -1;
  std::int64_t worst_ulp = 0;
  for (std::int64_t i = 0, n = want.numel(); i < n; ++i) {
    if (is_excused(excused, i)) {
      ++s.excused;
      continue;
    }
    const ElementError e = error_of(got, want, tolerance, i);
    if (!e.finite) {
      ++s.not_finite;
      continue;
    }
    ++s.elements;
    if (same_bits(got, want, i)) ++s.same;
    const std::int64_t ulp = signed_ulp(got, want, i, e.error);
    ++s.ulp[ulp_bucket(ulp)];
    ulps.up += static_cast<double>(ulp);
    ulps.away += static_cast<double>(ulp) * e.sign;
    const double magnitude = e.bounded() ? e.magnitude() : 0;
    if (e.bounded()) {
      ++s.bounded;
      const double bucket = magnitude > 1 ? ErrorStatistics::kShares
                                          : std::min<double>(std::floor(magnitude * ErrorStatistics::kShares),
                                                             ErrorStatistics::kShares - 1);
      ++s.share.at(static_cast<std::size_t>(bucket));
      s.largest_share = std::max(s.largest_share, magnitude);
      sums.add(i, e.share(), e.sign);
    }
    const std::int64_t far = ulp < 0 ? -ulp : ulp;
    if (e.error == 0 || (magnitude < worst_share || (magnitude == worst_share && far <= worst_ulp))) continue;
    worst_share = magnitude;
    worst_ulp = far;
    s.worst = ElementDifference{want.coordinates(i), format_element(got.dtype, got.element(i)),
                                format_element(want.dtype, want.element(i)), std::fabs(e.error), e.bound};
  }
  s.sums = sums.result(true);
  if (s.elements != 0) {
    const auto n = static_cast<double>(s.elements);
    s.mean_ulp = {ulps.up / n, ulps.away / n};
  }
  if (s.bounded != 0) {
    const auto n = static_cast<double>(s.bounded);
    s.mean_share = {s.sums.sum.up / n, s.sums.sum.away / n};
  }
  return s;
}

void add_errors(std::vector<OutputReport>& reports, const Observation& got, const Observation& want,
                const Tolerances& tolerances, const std::vector<Excuse>& excuses) {
  for (OutputReport& report : reports) {
    const auto tolerance = tolerances.find(report.name);
    const auto a = std::ranges::find(got.outputs, report.name, &Output::name);
    const auto b = std::ranges::find(want.outputs, report.name, &Output::name);
    if (tolerance == tolerances.end() || a == got.outputs.end() || b == want.outputs.end()) continue;
    report.errors = error_statistics(*a, *b, tolerance->second, excused_elements(*a, *b, excuses));
  }
}

std::optional<PairedErrors> paired_errors(const Output& got, const Tolerance& tolerance, const Output& other,
                                          const Tolerance& other_tolerance, const Output& want,
                                          const ExcusedElements& excused) {
  auto others = error_statistics(other, want, other_tolerance, excused);
  if (!others || !has_errors(got.value, want.value, tolerance)) return std::nullopt;
  PairedErrors pair;
  pair.other = std::move(*others);
  Sums difference(want.value);
  for (std::int64_t i = 0, n = want.value.numel(); i < n; ++i) {
    if (is_excused(excused, i)) continue;
    ++pair.compared;
    if (same_bits(got.value, other.value, i) || both_nan(got.value, other.value, i)) ++pair.same;
    const ElementError a = error_of(got.value, want.value, tolerance, i);
    const ElementError b = error_of(other.value, want.value, other_tolerance, i);
    // Without a bound on one side, the move would be the whole error of the other side.
    if (!a.finite || !b.finite || !a.comparable() || !b.comparable()) continue;
    difference.add(i, a.share() - b.share(), a.sign);
  }
  pair.difference = difference.result(false);
  return pair;
}

}  // namespace dsv4
