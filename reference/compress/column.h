/// Computes one column of one compressed entry at ratio 4, and a bound on the error of a float implementation.
#pragma once

#include <algorithm>
#include <cmath>

#include "reference/common/cuda_accuracy.h"
#include "reference/common/rows.h"

namespace dsv4::reference {

/// One value for each of the eight places of a window. A place holds one token from which the entry is made.
using Places = Eigen::Array<double, 8, 1>;

/// The window of one compressed entry. It has a row for each of the eight places, and a column for each column of
/// the entry.
struct Window {
  explicit Window(Eigen::Index columns) : kv(8, columns), z(8, columns) {}

  Eigen::Array<double, 8, Eigen::Dynamic> kv;
  Eigen::Array<double, 8, Eigen::Dynamic> z;  ///< score_i + ape_i
};

/// Returns exp(x) for each place, computed by the C library.
inline Places exp_of(const Places& x) {
  return x.unaryExpr([](double v) { return std::exp(v); });
}

/// Returns z_i - max z for each place i. The maximum ignores NaN.
inline Places below_largest(const Places& z) { return z - z.isNaN().select(-HUGE_VAL, z).maxCoeff(); }

/// Returns out = sum_i w_i kv_i with w = softmax(z), without rounding to float. The result is NaN if a z_i is NaN or
/// all z_i are minus infinity.
inline double compress_column(const Places& kv, const Places& z) {
  const Places weight = exp_of(below_largest(z));
  return sum_in_order(weight * kv) / sum_in_order(weight);
}

/// Returns the largest distance between the float nearest to compress_column() and the result of a float
/// implementation. The implementation adds the bias, subtracts the maximum and uses a fast exponential. It sums eight
/// products and eight weights in any order, with or without fused products, and divides approximately. It may flush
/// subnormal numbers to zero or keep them.
///
/// Symbols: u = 2^-24 is half a unit in the last place of 1. Further, z_i = score_i + ape_i, x_i = z_i - max z,
/// e_i = exp(x_i), S = sum e_i, p_i = e_i / S, and out = sum p_i kv_i. The bound is the sum of five errors:
///
/// 1. Weights. Rounding z_i changes the exponent by at most u |z_i|. Rounding the difference changes it by at most
///    u |x_i|. (Rounding the maximum multiplies all weights by the same factor, which cancels.) The fast exponential
///    adds an error of 2 + 1.173 |x_i| ulp, and an ulp is at most 2 u relative (fast_exp_error). So
///    the computed weight is e_i (1 + r_i) with
///      |r_i| <= exp(u |z_i| + u |x_i|) (1 + 2 u (2 + 1.173 |x_i|)) - 1.
///    The errors r_i change the quotient of the two sums by exactly
///      sum p_i r_i (kv_i - out) / (1 + sum p_i r_i).
///    If one weight is nearly the whole sum, its error does not matter. A weighted mean is always in the range of the
///    kv_i. This limits the error for huge |z|.
/// 2. A weight below the normal range may become zero. Each such weight adds 2^-126 |kv_i - out| / S, and S >= 1.
/// 3. Sums. The numerator is rounded in a product and seven additions: 8 u sum p_i |kv_i|. The denominator is rounded
///    in seven additions: 7 u |out|.
/// 4. The division has an error of 2 ulp: 4 u |out|. The reference's own value is rounded: u |out|.
/// 5. Products and the result may be flushed to zero: 9 * 2^-126.
///
/// The factor 1 + 2^-16 covers products of these errors. Each error is below 2^-19, unless the limit of step 1 applies.
inline double compress_column_bound(const Places& kv, const Places& z) {
  constexpr double kHalfUlp = kRoundingError;
  constexpr double kSmallestNormal = 0x1p-126;
  const double out = compress_column(kv, z);
  if (!std::isfinite(out)) return 0.0;

  const Places x = below_largest(z);
  const Places weight = exp_of(x);
  const Places argument_error = kHalfUlp * (z.abs() + x.abs());
  const Places exp_error = x.unaryExpr([](double v) { return fast_exp_error(v); });
  const Places relative =
      argument_error.unaryExpr([](double v) { return std::expm1(v); }) + exp_of(argument_error) * exp_error;
  // A weight of zero in double means that the exponential is below 2^-1074. So every float exponential gives zero
  // as well.
  const Places weight_error = (weight == 0.0).select(0.0, weight * relative);
  const Places from_out = (kv - out).abs();

  const double weights = sum_in_order(weight);
  const double moved = sum_in_order(weight_error * from_out) / weights;
  const double moved_weight = sum_in_order(weight_error) / weights;
  const double magnitude = sum_in_order(weight * kv.abs()) / weights;
  const double range = kv.maxCoeff() - kv.minCoeff();
  const double from_weights = moved_weight < 0.5 ? std::min(moved / (1.0 - moved_weight), range) : range;
  const double from_sums = kHalfUlp * (8.0 * magnitude + 7.0 * std::fabs(out));
  const double from_division = kHalfUlp * (4.0 + 1.0) * std::fabs(out);
  const double flushed = sum_in_order(kSmallestNormal * from_out);
  return (from_weights + from_sums + from_division) * (1.0 + 0x1p-16) + flushed + 9.0 * kSmallestNormal;
}

/// Returns the smallest float >= `x`.
inline float float_above(double x) {
  const auto nearest = static_cast<float>(x);
  return nearest < x ? std::nextafter(nearest, HUGE_VALF) : nearest;
}

}  // namespace dsv4::reference
