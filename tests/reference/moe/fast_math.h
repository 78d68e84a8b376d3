/// Float arithmetic with the errors that CUDA documents for -use_fast_math, for the tests of SwiGLU's intervals.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

namespace dsv4::testing {

/// Returns the float that is farthest from `exact` in a direction, with an error of at most `ulps`. Direction 0 is the
/// nearest float.
inline float farthest(double exact, double ulps, int direction) {
  auto y = static_cast<float>(exact);
  if (direction == 0 || exact == 0.0) return y;
  const double limit = ulps * std::ldexp(1.0, std::ilogb(exact) - 23);
  const float target = direction > 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
  for (float next = std::nextafter(y, target); std::fabs(next - exact) <= limit; next = std::nextafter(y, target)) {
    y = next;
  }
  return y;
}

/// Fast arithmetic whose errors are as large as the CUDA C++ Programming Guide allows: 2 + floor(1.173 |x|) ulp of
/// __expf, and 2 ulp of __fdividef. Each error has the given direction. Only a division by 1 is exact.
struct WorstFastMath {
  int exp_direction;
  int division_direction;

  [[nodiscard]] float exponential(float x) const {
    return farthest(std::exp(static_cast<double>(x)), 2.0 + std::floor(1.173 * std::fabs(x)), exp_direction);
  }
  [[nodiscard]] float divide(float a, float b) const {
    if (b == 1.0f) return a;  // measured
    return farthest(static_cast<double>(a) / b, 2.0, division_direction);
  }
  [[nodiscard]] float silu_and_mul(float g, float u) const { return divide(g, 1.0f + exponential(-g)) * u; }
};

inline std::vector<WorstFastMath> all_directions() {
  std::vector<WorstFastMath> list;
  for (const int exp_direction : {-1, 1}) {
    for (const int division_direction : {-1, 1}) list.push_back({exp_direction, division_direction});
  }
  list.push_back({0, 0});
  return list;
}

}  // namespace dsv4::testing
