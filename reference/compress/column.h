/// Computes one column of one compressed entry, and a bound on the error of a float implementation.
#pragma once

#include <algorithm>
#include <cmath>

#include "reference/common/cuda_accuracy.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"

namespace dsv4::reference {

/// One value for each place of a window. A place holds one token from which the entry is made. A window has 8 places at
/// ratio 4, and 128 places at ratio 128.
using Places = Eigen::ArrayXd;

/// The window of one compressed entry. It has a row for each place, and a column for each column of the entry.
struct Window {
  Window(Eigen::Index places, Eigen::Index columns) : kv(places, columns), z(places, columns) {}

  Eigen::ArrayXXd kv;
  Eigen::ArrayXXd z;  ///< score_i + ape_i
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
/// implementation. The implementation adds the bias, subtracts the maximum and uses a fast exponential. It sums
/// products and weights in parts of eight places, in any order, with or without fused products. A window of 128 places
/// has 16 parts. Each part has its own maximum, so its sums are then multiplied by exp(own maximum - maximum of all)
/// and added, in any order. The implementation divides approximately: the sum of the products, or each part's factor
/// before the products are added. It may flush subnormal numbers to zero or keep them. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4_v2.cuh:124-170 and c128_v2.cuh:129-215.)
///
/// Symbols: u = 2^-24 is half a unit in the last place of 1. Further, z_i = score_i + ape_i, x_i = z_i - max z,
/// e_i = exp(x_i), S = sum e_i, p_i = e_i / S, and out = sum p_i kv_i. P is the number of parts, or 0 if there is only
/// one. The bound is the sum of five errors:
///
/// 1. Weights. Rounding z_i changes the exponent by at most u |z_i|. Rounding the difference changes it by at most
///    u |x_i|. (Rounding the maximum multiplies all weights by the same factor, which cancels.) The fast exponential
///    adds an error of 2 + 1.173 |x_i| ulp, and an ulp is at most 2 u relative (fast_exp_error). So
///    the computed weight is e_i (1 + r_i) with
///      |r_i| <= exp(u |z_i| + u |x_i|) (1 + 2 u (2 + 1.173 |x_i|)) - 1.
///    With parts, e_i is a product of two exponentials. Their arguments are not positive and add up to x_i. So the
///    errors of the differences add up to at most u |x_i|, and those of the exponentials to 4 + 1.173 |x_i| ulp.
///    The errors r_i change the quotient of the two sums by exactly
///      sum p_i r_i (kv_i - out) / (1 + sum p_i r_i).
///    If one weight is nearly the whole sum, its error does not matter. A weighted mean is always in the range of the
///    kv_i. This limits the error for huge |z|.
/// 2. A weight below the normal range may become zero. Each such weight adds 2^-126 |kv_i - out| / S, and S >= 1. With
///    parts, a part's factor may become zero after the division, which adds 2^-126 |kv_i|. A part's sum of weights may
///    become zero, which adds 2^-126 |out|.
/// 3. Sums. The numerator is rounded in a product and seven additions, and with parts also in the part's product and
///    P - 1 additions: (8 + P) u sum p_i |kv_i|. The denominator is rounded in seven additions, and with parts also in
///    a product and P - 1 additions: (7 + P) u |out|.
/// 4. The division has an error of 2 ulp: 4 u |out|. With parts, the divisions of the factors may have different
///    errors: 4 u sum p_i |kv_i|. The reference's own value is rounded: u |out|.
/// 5. Products and the result may be flushed to zero: 2^-126 for each place, for each part and for the result.
///
/// The factor 1 + 2^-16 covers products of these errors. Each error is below 2^-18, unless the limit of step 1 applies.
inline double compress_column_bound(const Places& kv, const Places& z) {
  constexpr double kHalfUlp = kRoundingError;
  constexpr double kSmallestNormal = 0x1p-126;
  const double out = compress_column(kv, z);
  if (!std::isfinite(out)) return 0.0;

  const auto places = static_cast<double>(z.size());
  const double parts = places > 8 ? places / 8 : 0.0;  // P
  const Places x = below_largest(z);
  const Places weight = exp_of(x);
  const Places argument_error = kHalfUlp * (z.abs() + x.abs());
  const Places exp_error =
      x.unaryExpr([](double v) { return fast_exp_error(v); }) + (parts > 0 ? fast_exp_error(0.0) : 0.0);
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
  const double from_sums = kHalfUlp * ((8.0 + parts) * magnitude + (7.0 + parts) * std::fabs(out));
  const double from_division = kHalfUlp * (4.0 * (parts > 0 ? magnitude : std::fabs(out)) + std::fabs(out));
  double flushed = sum_in_order(kSmallestNormal * from_out);
  if (parts > 0) flushed += sum_in_order(kSmallestNormal * kv.abs()) + kSmallestNormal * parts * std::fabs(out);
  return (from_weights + from_sums + from_division) * (1.0 + 0x1p-16) + flushed +
         (places + parts + 1.0) * kSmallestNormal;
}

}  // namespace dsv4::reference
