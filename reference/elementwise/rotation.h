/// The rotation of a pair of elements by an angle, with every result that float arithmetic may give.
///
/// A pair (a, b) is the complex number a + ib. It is multiplied by c + id = cos + i sin, or by its conjugate for the
/// inverse. Each part of the product is a sum of two products. One float expression computes it (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/rope.cuh:69-81 and main_norm_rope.cuh:157-160). C++ lets a compiler keep one of the two
/// products exact: it fuses this product with the sum (fma). So an expression has up to three right results. nvcc fuses
/// the left product of upstream's expressions. References compute this result, and their intervals contain all three.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "reference/common/interval.h"
#include "reference/common/number.h"

namespace dsv4::reference {

struct Complex {
  float re;
  float im;
};

/// One part of a complex product: the sum of two products. The products are exact in double, because a factor has at
/// most 24 bits.
struct Sum {
  double left;  ///< as upstream writes the expression
  double right;
};

/// The two parts of a complex product.
struct Product {
  Sum re;
  Sum im;
};

/// Returns x w, where w is the angle's number or, if `inverse` is true, its conjugate. Upstream writes the imaginary
/// part as (ad + bc), and that of the inverse as (bc - ad).
inline Product rotated(Complex x, Complex angle, bool inverse = false) {
  const double a = x.re, b = x.im;
  const double c = angle.re, d = inverse ? -static_cast<double>(angle.im) : static_cast<double>(angle.im);
  const Sum re{a * c, -(b * d)};  // (a + ib) (c + id) = (ac - bd) + i (ad + bc)
  const Sum im{a * d, b * c};
  return {re, inverse ? Sum{im.right, im.left} : im};
}

/// Returns exact + rounded, rounded once to float. The sum in double may itself be rounded. If it is, its last bit is
/// made odd, away from what a second rounding could mistake for a midpoint (rounding to odd).
inline float sum_once(double exact, float rounded) {
  const double sum = exact + rounded;
  if (!std::isfinite(sum)) return static_cast<float>(sum);
  const double rounded_part = sum - exact;  // the two errors are exact in double
  const double error = (exact - (sum - rounded_part)) + (rounded - rounded_part);
  if (error == 0.0 || std::bit_cast<std::uint64_t>(sum) % 2 != 0) return static_cast<float>(sum);
  return static_cast<float>(std::nextafter(sum, error > 0.0 ? HUGE_VAL : -HUGE_VAL));
}

/// Return the sum in float with the left product exact, with the right product exact, and with neither.
inline float left_exact(Sum s) { return sum_once(s.left, static_cast<float>(s.right)); }
inline float right_exact(Sum s) { return sum_once(s.right, static_cast<float>(s.left)); }
inline float both_rounded(Sum s) { return static_cast<float>(s.left) + static_cast<float>(s.right); }

/// Returns the interval of the three results.
inline Interval results_of(Sum s) { return hull(std::array{left_exact(s), right_exact(s), both_rounded(s)}); }

/// A bfloat16 or a float as a float.
inline float widened(Bf16 x) { return to_float(x); }
inline float widened(float x) { return x; }

/// Rounds to bfloat16. A float stays as it is.
template <class Element>
Element rounded_to(float x) {
  if constexpr (std::is_same_v<Element, Bf16>) {
    return to_bf16(x);
  } else {
    return x;
  }
}

/// The least and the greatest of some bfloat16 or float numbers. They are ordered by their bits, with -0 below +0 and
/// NaN at the ends. If only some of the numbers are NaN, one end is a NaN and the other end is a number.
template <class Element>
class BracketOf {
 public:
  void include(Element x) {
    if (!any_ || order(x) < order(low_)) low_ = x;
    if (!any_ || order(x) > order(high_)) high_ = x;
    any_ = true;
  }
  /// Includes the three results of a sum, rounded to the type of the elements.
  void include(Sum sum) {
    for (const float x : std::array{left_exact(sum), right_exact(sum), both_rounded(sum)})
      include(rounded_to<Element>(x));
  }
  [[nodiscard]] Element low() const { return low_; }
  [[nodiscard]] Element high() const { return high_; }

 private:
  /// A bfloat16 is the upper half of a float, so both have the same order.
  static std::int64_t order(Element x) {
    const auto bits = std::bit_cast<std::uint32_t>(widened(x));
    const auto magnitude = static_cast<std::int64_t>(bits & 0x7fffffff);
    return (bits & 0x80000000) != 0 ? ~magnitude : magnitude;
  }
  bool any_ = false;
  Element low_{};
  Element high_{};
};
using Bracket = BracketOf<Bf16>;

}  // namespace dsv4::reference
