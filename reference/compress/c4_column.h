/// One column of one compressed entry at ratio 4, and how far a float implementation may be from it.
#pragma once

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

namespace dsv4::reference {

/// One of the eight window entries, at one column.
struct WindowEntry {
  float kv = 0.0f;
  float score = -FLT_MAX;  ///< as of an entry that does not exist: before the first group of a request
  float ape = 0.0f;        ///< bias of the score, by place in the window
};
using Window = std::array<WindowEntry, 8>;

/// out = sum_i w_i kv_i with w = softmax_i(score_i + ape_i), not rounded. NaN if a score is NaN or all are minus
/// infinity.
inline double compress_column(const Window& window) {
  double largest = -HUGE_VAL;
  for (const WindowEntry& e : window) largest = std::fmax(largest, static_cast<double>(e.score) + e.ape);
  double weights = 0.0, sum = 0.0;
  for (const WindowEntry& e : window) {
    const double weight = std::exp(static_cast<double>(e.score) + e.ape - largest);
    weights += weight;
    sum += weight * e.kv;
  }
  return sum / weights;
}

/// Largest distance between the float nearest to compress_column() and what an implementation in float may give that
/// adds the bias, subtracts the maximum, takes a fast exponential, sums eight products and eight weights in any order,
/// fused or not, and divides approximately; flushing denormals or not.
///
/// Write u = 2^-24 for half a unit in the last place of 1, z_i = score_i + ape_i, x_i = z_i - max z, e_i = exp(x_i),
/// S = sum e_i, p_i = e_i / S, out = sum p_i kv_i.
///
/// 1. Weights. Rounding z_i moves the exponent by at most u |z_i| and rounding the difference by u |x_i| (rounding the
///    maximum scales all weights alike and cancels). The fast exponential adds 2 + 1.173 |x_i| ulp, an ulp being at
///    most 2 u relative (CUDA C Programming Guide, __expf). So the computed weight is e_i (1 + r_i),
///      |r_i| <= exp(u |z_i| + u |x_i|) (1 + 2 u (2 + 1.173 |x_i|)) - 1.
///    The quotient of the sums then moves by exactly  sum p_i r_i (kv_i - out) / (1 + sum p_i r_i):  a weight that
///    carries all is free to be wrong. A weighted mean besides never leaves the range of the kv_i: the cap for huge
///    |z|.
/// 2. A weight below the normal range may become zero: 2^-126 |kv_i - out| / S each, S >= 1.
/// 3. Sums. A product and seven additions round the numerator: 8 u sum p_i |kv_i|; seven additions the denominator:
///    7 u |out|.
/// 4. Division, 2 ulp: 4 u |out|. Rounding of the reference's own value: u |out|.
/// 5. Products and the result may be flushed: 9 * 2^-126.
/// The factor 1 + 2^-16 covers products of these errors, each below 2^-19 unless the cap of 1 holds.
inline double compress_column_bound(const Window& window) {
  constexpr double kHalfUlp = 0x1p-24;
  constexpr double kSmallestNormal = 0x1p-126;
  const double out = compress_column(window);
  if (!std::isfinite(out)) return 0.0;

  double largest = -HUGE_VAL, lowest_kv = HUGE_VAL, highest_kv = -HUGE_VAL;
  for (const WindowEntry& e : window) {
    largest = std::fmax(largest, static_cast<double>(e.score) + e.ape);
    lowest_kv = std::fmin(lowest_kv, e.kv);
    highest_kv = std::fmax(highest_kv, e.kv);
  }
  double weights = 0.0, moved = 0.0, moved_weight = 0.0, magnitude = 0.0, flushed = 0.0;
  for (const WindowEntry& e : window) {
    const double z = static_cast<double>(e.score) + e.ape;
    const double x = z - largest;
    const double weight = std::exp(x);
    const double from_out = std::fabs(e.kv - out);
    flushed += kSmallestNormal * from_out;
    if (weight == 0.0) continue;  // below 2^-1074: no float exponential gives anything but zero
    const double argument_error = kHalfUlp * (std::fabs(z) + std::fabs(x));
    const double exp_error = 2.0 * kHalfUlp * (2.0 + 1.173 * std::fabs(x));
    const double relative = std::expm1(argument_error) + std::exp(argument_error) * exp_error;
    weights += weight;
    moved += weight * relative * from_out;
    moved_weight += weight * relative;
    magnitude += weight * std::fabs(e.kv);
  }
  moved /= weights;
  moved_weight /= weights;
  magnitude /= weights;
  const double range = highest_kv - lowest_kv;
  const double from_weights = moved_weight < 0.5 ? std::min(moved / (1.0 - moved_weight), range) : range;
  const double from_sums = kHalfUlp * (8.0 * magnitude + 7.0 * std::fabs(out));
  const double from_division = kHalfUlp * (4.0 + 1.0) * std::fabs(out);
  return (from_weights + from_sums + from_division) * (1.0 + 0x1p-16) + flushed + 9.0 * kSmallestNormal;
}

/// The smallest float that is not below `x`.
inline float float_above(double x) {
  const auto nearest = static_cast<float>(x);
  return nearest < x ? std::nextafter(nearest, HUGE_VALF) : nearest;
}

}  // namespace dsv4::reference
