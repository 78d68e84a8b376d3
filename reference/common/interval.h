/// Intervals of floats. An interval contains every result that float arithmetic may give for a number, for example the
/// results with and without a fused product.
///
/// A rounded sum grows with both operands, and a rounded product with a positive factor grows with the other one. So
/// the ends of an interval follow from the ends of the operands.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "reference/common/number.h"

namespace dsv4::reference {

/// The floats from `low` to `high`, with -0 below +0. If both ends are NaN, every result is NaN. If the ends are
/// infinities of opposite signs, the result may also be NaN.
struct Interval {
  float low;
  float high;
};

/// All floats and NaN: nothing is known about the number.
inline constexpr Interval kAnything{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};

/// Returns the interval from `low` to `high`. If only one of them is NaN, other results may be NaN or not.
inline Interval interval_from(float low, float high) {
  return std::isnan(low) == std::isnan(high) ? Interval{low, high} : kAnything;
}

/// Returns the smallest interval that contains all results in `list`, which must not be empty.
template <class List>
Interval hull(const List& list) {
  const auto below = [](float a, float b) { return a < b || (a == b && std::signbit(a) && !std::signbit(b)); };
  const auto nans = std::ranges::count_if(list, [](float x) { return std::isnan(x); });
  if (nans != 0) return nans == std::ranges::ssize(list) ? Interval{*list.begin(), *list.begin()} : kAnything;
  return {*std::ranges::min_element(list, below), *std::ranges::max_element(list, below)};
}

inline Interval operator+(Interval a, Interval b) { return interval_from(a.low + b.low, a.high + b.high); }
inline Interval operator-(Interval a, Interval b) { return interval_from(a.low - b.high, a.high - b.low); }
/// `factor` is positive and finite.
inline Interval operator*(Interval a, float factor) { return {a.low * factor, a.high * factor}; }

/// Returns the product of any two intervals. Each end is a product of ends.
inline Interval operator*(Interval a, Interval b) {
  return hull(std::array{a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
}

/// Return a float, or the results in an interval, rounded to bfloat16.
inline float rounded_to_bf16(float x) { return to_float(to_bf16(x)); }
inline Interval rounded_to_bf16(Interval a) { return {rounded_to_bf16(a.low), rounded_to_bf16(a.high)}; }

/// Returns the interval of the greatest magnitude. NaN is ignored; the greatest magnitude of NaN only is 0.
inline Interval greatest_magnitude(const std::vector<Interval>& values) {
  Interval greatest{0.0f, 0.0f};
  for (const Interval& a : values) {
    if (std::isnan(a.low)) continue;
    const bool has_zero = a.low <= 0.0f && a.high >= 0.0f;
    greatest.low = std::max(greatest.low, has_zero ? 0.0f : std::min(std::fabs(a.low), std::fabs(a.high)));
    greatest.high = std::max(greatest.high, std::max(std::fabs(a.low), std::fabs(a.high)));
  }
  return greatest;
}

}  // namespace dsv4::reference
