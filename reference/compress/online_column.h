/// Computes one column of the running softmax of online compression, and bounds on the errors of a
/// float implementation.
#pragma once

#include <algorithm>
#include <cmath>

#include "reference/common/cuda_accuracy.h"
#include "reference/common/rows.h"

namespace dsv4::reference {

/// One column of the running softmax of some tokens of a group. The token i has the value kv_i and the score z_i.
struct Running {
  double max;   ///< max z_i
  double sum;   ///< sum exp(z_i - max)
  double mean;  ///< sum exp(z_i - max) kv_i / sum
};

/// One column of tokens: kv, and the scores with their bias. Each biased score is rounded to float once, because the
/// state holds the largest of them (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128_online_v2.cuh:85 and :317).
struct Scored {
  Eigen::ArrayXd kv;
  Eigen::ArrayXd z;
};

/// The parts of a running softmax that are merged: earlier tokens, if there are any, and new tokens. Earlier tokens act
/// like one token with the weight `sum`.
struct Parts {
  Eigen::ArrayXd value;
  Eigen::ArrayXd z;
  Eigen::ArrayXd times;  ///< factor of the part's weight: `sum` of the earlier tokens, and 1 for a token

  Parts(const Running* earlier, const Scored& tokens) {
    const Eigen::Index n = tokens.z.size(), first = earlier == nullptr ? 0 : 1;
    value.resize(n + first);
    z.resize(n + first);
    times.setOnes(n + first);
    if (earlier != nullptr) {
      value(0) = earlier->mean;
      z(0) = earlier->max;
      times(0) = earlier->sum;
    }
    value.tail(n) = tokens.kv;
    z.tail(n) = tokens.z;
  }
  /// The largest score. NaN does not count.
  [[nodiscard]] double largest() const { return z.isNaN().select(-HUGE_VAL, z).maxCoeff(); }
  [[nodiscard]] Eigen::ArrayXd weights() const {
    return times * (z - largest()).unaryExpr([](double x) { return std::exp(x); });
  }
};

/// Returns the running softmax of the earlier tokens and of the new ones, without rounding to float. sum and mean are
/// NaN if a score is NaN, or if all scores are minus infinity.
inline Running merged(const Running* earlier, const Scored& tokens) {
  const Parts parts(earlier, tokens);
  const Eigen::ArrayXd weight = parts.weights();
  const double sum = sum_in_order(weight);
  return {parts.largest(), sum, sum_in_order(weight * parts.value) / sum};
}

/// How often a float implementation rounds on the way from a score to the result, at most. One rounding has a relative
/// error of 2^-24. A division counts as four roundings (kFastDivisionError).
struct Roundings {
  double exponentials;  ///< of a weight, which is a product of so many exponentials
  double sum;           ///< of a weight on its way into `sum`
  double mean;          ///< of a weight times kv on its way into the quotient of `mean`

  /// After `merges` more merges of one token each (c128_online_v2.cuh:87-91). Each multiplies the old sum by an
  /// exponential and adds; the mean is multiplied by the sum, added to, and divided.
  [[nodiscard]] Roundings then(double merges) const {
    return {exponentials + merges, sum + 2 * merges, mean + 7 * merges};
  }
};

/// A decode step merges one token (c128_online_v2.cuh:87-91).
inline constexpr Roundings kDecodeRoundings{1, 2, 7};

/// A segment of a prefill (c128_online_v2.cuh:181-226 and :352-356). A warp adds eight products (1 + 8 roundings) and
/// eight weights (8). Sixteen warps scale their sums (1) and add them in four steps (4). Their products are scaled by a
/// quotient (4 + 1) and added in four steps (4). The result is merged with the earlier tokens as in a decode step, and
/// each weight is a product of three exponentials. Every order of no greater depth is right.
inline constexpr Roundings kPrefillRoundings{3, 8 + 1 + 4 + 2, 1 + 8 + 4 + 1 + 4 + 7};

/// Bounds on the distance between the floats nearest to merged() and the results of a float implementation. `max` has
/// no error.
struct RunningBound {
  double sum;
  double mean;
};

/// Symbols: u = 2^-24. Part i has the weight w_i = times_i exp(x_i) with x_i = z_i - max, and the share p_i = w_i / sum
/// of all weights. An implementation multiplies up to `exponentials` exponentials whose arguments add up to x_i,
/// because each is the difference of two maxima, or of a score and a maximum. The bounds add up these errors:
///
/// 1. Weights. Rounding the differences changes the sum of the arguments by at most u |x_i|. Each exponential adds 2
///    ulp, and together they add 1.173 |x_i| ulp more (fast_exp_error). So the computed weight is w_i (1 + r_i) with
///      |r_i| <= exp(u |x_i|) (1 + 2 u (2 exponentials + 1.173 |x_i|)) - 1.
///    The errors change the mean by exactly sum p_i r_i (value_i - mean) / (1 + sum p_i r_i). A weighted mean is always
///    in the range of the values.
/// 2. A factor below the normal range may become zero. It takes at most 2^-126 times_i from its weight, in both sums or
///    in one of them.
/// 3. Sums, products and quotients: `sum` or `mean` roundings of each term. The mean is divided by the computed sum, so
///    it has the errors of the sum too.
/// 4. The reference's own value is rounded once. Products and results may be flushed to zero.
///
/// The factor 1 + 2^-10 covers products of these errors, which are below 2^-11 each, unless the limit of step
/// 1 applies.
inline RunningBound merged_bound(const Running* earlier, const Scored& tokens, const Roundings& roundings) {
  constexpr double kSmallestNormal = 0x1p-126;
  constexpr double kRoom = 1.0 + 0x1p-10;
  const Running right = merged(earlier, tokens);
  const Parts parts(earlier, tokens);
  const Eigen::ArrayXd weight = parts.weights();
  const Eigen::ArrayXd x = (parts.z - parts.largest()).abs();
  const Eigen::ArrayXd relative = x.unaryExpr([&](double v) {
    const double moved = kRoundingError * v;
    return std::expm1(moved) + std::exp(moved) * (fast_exp_error(v) + (roundings.exponentials - 1) * fast_exp_error(0));
  });
  // A weight of zero in double means that the exponential is below 2^-1074. So every float exponential gives zero too.
  const Eigen::ArrayXd weight_error = (weight == 0.0).select(0.0, weight * relative);
  const auto terms = static_cast<double>(weight.size());

  RunningBound bound{0.0, 0.0};
  if (std::isfinite(right.sum)) {
    bound.sum = (sum_in_order(weight_error) + kRoundingError * (roundings.sum + 1) * right.sum) * kRoom +
                kSmallestNormal * (sum_in_order(parts.times) + 1);
  }
  if (std::isfinite(right.mean)) {
    const Eigen::ArrayXd from_mean = (parts.value - right.mean).abs();
    const double moved = sum_in_order(weight_error * from_mean) / right.sum;
    const double moved_weight = sum_in_order(weight_error) / right.sum;
    const double magnitude = sum_in_order(weight * parts.value.abs()) / right.sum;
    const double range = parts.value.maxCoeff() - parts.value.minCoeff();
    const double from_weights = moved_weight < 0.5 ? std::min(moved / (1.0 - moved_weight), range) : range;
    const double from_roundings =
        kRoundingError * (roundings.mean * magnitude + (roundings.sum + 1) * std::fabs(right.mean));
    const double flushed = kSmallestNormal * (sum_in_order(parts.times * (from_mean + parts.value.abs())) + terms + 1);
    bound.mean = (from_weights + from_roundings) * kRoom + flushed;
  }
  return bound;
}

}  // namespace dsv4::reference
