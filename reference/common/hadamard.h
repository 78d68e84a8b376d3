/// The Hadamard transform of a row, in float arithmetic.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace dsv4::reference {

/// Returns y with y_i = sum_j (-1)^popcount(i & j) x_j / sqrt(n), for n elements. n is a power of two.
///
/// Stage 1, 2, 4, ... n/2 replaces each pair of elements that are this far apart by its sum and its difference. Each of
/// them is rounded to float. At the end, each element is multiplied by the float nearest to 1 / sqrt(n). (sglang
/// 0.5.13, jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh:505-530. Only the sign of a zero depends on which element is
/// subtracted: the one with the higher index.)
///
/// @tparam Number  float, or Interval (interval.h) for all results of all values in the intervals
template <class Number>
std::vector<Number> hadamard(std::vector<Number> x) {
  const std::size_t n = x.size();
  for (std::size_t stage = 1; stage < n; stage *= 2) {
    for (std::size_t i = 0; i < n; ++i) {
      if ((i & stage) != 0) continue;
      const Number lower = x[i], upper = x[i + stage];
      x[i] = lower + upper;
      x[i + stage] = lower - upper;
    }
  }
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n)));
  for (Number& value : x) value = value * scale;
  return x;
}

}  // namespace dsv4::reference
