/// Helpers of the tests that compare references with LibTorch on the inputs of the quick tier.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/harness/ops/specimen.h"
#include "tests/reference/torch/torch.h"

namespace dsv4::testing {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kFirstInfinite =
    0x1.ffffffp127;  ///< rounds to an infinite float; smaller values round to finite floats
inline constexpr double kSmallestNormal = 0x1p-126;
inline constexpr double kSmallestFloat = 0x1p-149;

/// Calls `check(specimen)` for every case of the quick tier without a scenario.
template <class Check>
void for_each_quick_case(const std::string& op, const Check& check) {
  std::size_t cases = 0;
  for (const Case& c : cases_of(*find_op(op), Tier::kQuick)) {
    if (!c.scenario.empty()) continue;
    SCOPED_TRACE(c.id());
    ++cases;
    check(Specimen(c.id()));
    if (::testing::Test::HasFailure()) return;  // the other cases would repeat it
  }
  EXPECT_GT(cases, 20u);
}

/// `x`, or an infinity if `x` overflows when it is rounded to float.
inline at::Tensor overflow(const at::Tensor& x) {
  return at::where(at::abs(x).ge(kFirstInfinite), at::sign(x) * kInfinity, x);
}

/// Half of the distance between neighbouring values of a format with this precision and this smallest exponent.
inline at::Tensor half_step(const at::Tensor& x, int precision, int smallest_exponent) {
  const at::Tensor exponent = at::floor(at::log2(at::abs(x))).clamp_min(smallest_exponent);
  return at::exp2(exponent - precision);
}
inline at::Tensor half_float_step(const at::Tensor& x) { return half_step(x, 24, -126); }
inline at::Tensor half_bfloat16_step(const at::Tensor& x) { return half_step(x, 8, -126); }

/// The codes of values that are already divided by their scale. Unlike LibTorch's conversion, the ops limit a value to
/// +-448, and NaN becomes 448.
inline at::Tensor codes_of(const at::Tensor& x) {
  const at::Tensor limited = at::where(at::isnan(x), 448.0, x).clamp(-448.0, 448.0);
  return limited.to(at::kFloat).to(at::kFloat8_e4m3fn).view(at::kByte);
}

/// The greatest magnitude of the last dimension; NaN does not count.
inline at::Tensor greatest(const at::Tensor& x) {
  return at::nan_to_num(at::abs(x), 0.0, kInfinity, kInfinity).amax(-1, true);
}

}  // namespace dsv4::testing
