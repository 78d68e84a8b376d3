/// Rows and float arithmetic for the tests of references that normalise rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "harness/core/bits.h"

namespace dsv4::testing {

inline float bf16(float x) { return float_from_bf16(bf16_from_float(x)); }

/// Factors that float arithmetic may give for a row: the squares are added in two orders, and the reciprocal root is
/// off by up to one ulp.
inline std::vector<float> float_factors(const std::vector<float>& row, float eps) {
  const auto n = row.size();
  // A warp in which lane l adds blocks of 8 elements (or of 4), and a block of 256 threads with two elements each.
  std::vector<float> sums;
  for (const std::size_t lanes : {std::size_t{32}, n / 2}) {
    std::vector<float> lane(lanes, 0.0f);
    const std::size_t block = lanes == 32 ? std::min<std::size_t>(8, n / 32) : 2;
    for (std::size_t d = 0; d < n; ++d) {
      float& sum = lane[d / block % lanes];
      sum = std::fma(row[d], row[d], sum);
    }
    for (std::size_t step = lanes / 2; step > 0; step /= 2) {
      for (std::size_t l = 0; l < step; ++l) lane[l] += lane[l + step];
    }
    sums.push_back(lane[0]);
  }
  std::vector<float> factors;
  for (const float sum : sums) {
    const float mean = std::fma(sum, 1.0f / static_cast<float>(n), eps);
    const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(mean)));
    factors.push_back(factor);
    // One ulp less than the documented two, because the root above is rounded too.
    for (const float towards : {0.0f, HUGE_VALF}) factors.push_back(std::nextafter(factor, towards));
  }
  return factors;
}

}  // namespace dsv4::testing
