/// Rows and float arithmetic for the tests of references that normalise rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/tensor.h"

namespace dsv4::testing {

inline float bf16(float x) { return float_from_bf16(bf16_from_float(x)); }

/// The factors that float arithmetic gives for a row: the squares are added in several orders, and the reciprocal root
/// is as far off as CUDA's rsqrtf may be.
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
    auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(mean)));
    factors.push_back(factor);
    for (const float towards : {0.0f, HUGE_VALF}) {
      float moved = factor;
      // One ulp less than the documented two, because the root above is rounded too.
      moved = std::nextafter(moved, towards);
      factors.push_back(moved);
    }
  }
  return factors;
}

}  // namespace dsv4::testing
