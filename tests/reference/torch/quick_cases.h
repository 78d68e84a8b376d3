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

/// Compares the rotated elements `got`, [tokens, heads, 64], with the product of the complex numbers in `x` and the
/// angles at `positions`, i64 [tokens]. The elements are bfloat16, or have another precision.
inline void expect_rotated_at(const Specimen& s, const at::Tensor& positions, const at::Tensor& x,
                              const at::Tensor& got, bool inverse, const std::string& what, int precision = 8) {
  const auto pairs = [](const at::Tensor& t) { return t.reshape({t.size(0), t.size(1), 32, 2}).contiguous(); };
  at::Tensor angles = at::index_select(as_double(s.call.tensor("freqs_cis")), 0, positions).unsqueeze(1);
  angles = at::view_as_complex(pairs(angles));
  if (inverse) angles = at::conj(angles);
  const at::Tensor want = at::view_as_real((at::view_as_complex(pairs(x)) * angles).resolve_conj());
  // The sum of the magnitudes of the two products of each part; the error of float arithmetic is relative to it.
  const at::Tensor magnitudes = at::abs(at::view_as_real(angles.resolve_conj()));
  const at::Tensor re = at::abs(pairs(x)).select(3, 0), im = at::abs(pairs(x)).select(3, 1);
  const at::Tensor c = magnitudes.select(3, 0), d = magnitudes.select(3, 1);
  const at::Tensor sums = at::stack({re * c + im * d, re * d + im * c}, 3);
  // Where a product overflows in float but not in double, the two have different results.
  const at::Tensor open = sums.ge(0x1p126).logical_and(at::isfinite(sums));
  const at::Tensor allowed = half_step(want, precision, -126) * (1 + 0x1p-8) + sums * 0x1p-23 + 2 * kSmallestFloat;
  expect_near(at::where(open, 0.0, pairs(got)), at::where(open, 0.0, want), allowed, what);
}

/// The same with the positions in the argument `positions`.
inline void expect_rotated(const Specimen& s, const at::Tensor& x, const at::Tensor& got, bool inverse,
                           const std::string& what) {
  expect_rotated_at(s, as_torch(s.call.tensor("positions")).to(at::kLong), x, got, inverse, what);
}

}  // namespace dsv4::testing
