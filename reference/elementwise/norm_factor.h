/// The factor by which RMS normalisation multiplies a row, 1 / sqrt(mean of the squares + eps), and the interval of
/// factors that float arithmetic may give.
///
/// Upstream's kernels compute it in float (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh:114-124): each
/// lane of a warp adds the squares of its elements in turn, the warp adds its lanes in five steps, and then come the
/// division by the number of elements, the sum with eps, and rsqrtf.
///
/// - A term passes through at most 16 + 5 additions, because a warp handles at most 512 elements. Any other order of no
///   greater depth is right too. The square itself may also be rounded. No term is negative. So the sum is the exact
///   sum times a factor between (1 - u)^22 and (1 + u)^22, with u = 2^-24. A square that is subnormal adds 2^-150, and
///   so does a subnormal mean.
/// - The number of elements is a power of two, so the division is exact, and the sum with eps rounds once.
/// - The error of rsqrtf is at most 2 ulp (kRsqrtError).
///
/// Together these are about 2^-20 of the factor.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "reference/common/cuda_accuracy.h"
#include "reference/common/rows.h"

namespace dsv4::reference {

struct NormFactor {
  float value;  ///< rounded once from double
  float low;    ///< the ends of the interval of right factors, rounded outwards
  float high;
};

/// The number of elements of a row for each lane of a warp, the steps that add a warp's lanes, and the rounding of a
/// square.
inline constexpr int kRoundingsOfASum = 16 + 5 + 1;

/// Returns the factor for the sum of squares `sum` of a row of `elements` elements. A sum that is too large for a float
/// is infinite, and its factor is 0. `error_of_mean` is the relative error of the mean.
inline double factor_of_sum(double sum, std::int64_t elements, float eps, double error_of_mean) {
  if (std::isinf(static_cast<float>(sum))) return 0.0;
  const double mean = std::fmax(0.0, sum) / static_cast<double>(elements) + eps;
  return 1.0 / std::sqrt(mean * (1.0 + error_of_mean));
}

/// The factor for a row. It is NaN if an element is NaN, and 0 if an element or the sum of the squares is infinite.
inline NormFactor norm_factor(const Eigen::ArrayXf& row, float eps) {
  constexpr auto kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr auto kInfinity = std::numeric_limits<float>::infinity();
  if (row.isNaN().any()) return {kNan, kNan, kNan};
  const double sum = sum_in_order(row.cast<double>().square());
  const double error = std::pow(1.0 + kRoundingError, kRoundingsOfASum) - 1.0;
  const double subnormal = sum == 0.0 ? 0.0 : 2.0 * static_cast<double>(row.size()) * 0x1p-150;
  const auto factor = [&](double of_sum, double of_mean) { return factor_of_sum(of_sum, row.size(), eps, of_mean); };
  const double least = factor(sum * (1.0 + error) + subnormal, kRoundingError) * (1.0 - kRsqrtError);
  const double greatest = factor(sum * (1.0 - error) - subnormal, -kRoundingError) * (1.0 + kRsqrtError);
  const auto outwards = [](double end, float towards) {
    const auto x = static_cast<float>(end);
    return x == 0.0f || std::isinf(x) ? x : std::nextafter(x, towards);  // 0 and infinity are exact
  };
  // Without eps, the squares of a row of tiny elements underflow in float, so the factor is infinite.
  const bool underflows = std::isinf(greatest);
  const float value = underflows ? kInfinity : static_cast<float>(factor(sum, 0.0));
  return {value, outwards(least, 0.0f), outwards(greatest, kInfinity)};
}

}  // namespace dsv4::reference
