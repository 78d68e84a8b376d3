/// Arithmetic that must not depend on the compiler flags of the module. This file is compiled so that products and sums
/// are never fused, and so that the compiler respects changes of the rounding mode.
#include "simt/math.h"

#include <cfenv>
#include <cmath>

#pragma GCC visibility push(hidden)

// The host library returns NaN if an operand is a signalling NaN. A GPU returns the other operand for every kind of
// NaN, and treats +0 as greater than -0. The functions below are part of the module, so the module calls them and not
// the library's functions.
extern "C" {

float fminf(float a, float b) noexcept {
  if (a != a) return b != b ? __uint_as_float(0x7FFFFFFFu) : b;
  if (b != b) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}

float fmaxf(float a, float b) noexcept {
  if (a != a) return b != b ? __uint_as_float(0x7FFFFFFFu) : b;
  if (b != b) return a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}

double fmin(double a, double b) noexcept {
  if (a != a) return b != b ? __longlong_as_double(0x7FFFFFFFFFFFFFFF) : b;
  if (b != b) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}

double fmax(double a, double b) noexcept {
  if (a != a) return b != b ? __longlong_as_double(0x7FFFFFFFFFFFFFFF) : b;
  if (b != b) return a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}

}  // extern "C"

namespace simt {
namespace {

/// Runs `operation` in a rounding mode. Operands and result are stored in volatile objects. Otherwise the compiler
/// would move the arithmetic across the change of the rounding mode.
template <typename F, typename Operation>
F in_mode(Rounding rounding, Operation operation) {
  const int previous = std::fegetround();
  std::fesetround(rounding == Rounding::kUpward     ? FE_UPWARD
                  : rounding == Rounding::kDownward ? FE_DOWNWARD
                                                    : FE_TOWARDZERO);
  volatile F result = operation();
  std::fesetround(previous);
  return result;
}

}  // namespace

#define SIMT_ARITHMETIC(F, FMA, SQRT)                          \
  F add(F a, F b, Rounding rounding) {                         \
    volatile F x = a, y = b;                                   \
    return in_mode<F>(rounding, [&] { return x + y; });        \
  }                                                            \
  F multiply(F a, F b, Rounding rounding) {                    \
    volatile F x = a, y = b;                                   \
    return in_mode<F>(rounding, [&] { return x * y; });        \
  }                                                            \
  F divide(F a, F b, Rounding rounding) {                      \
    volatile F x = a, y = b;                                   \
    return in_mode<F>(rounding, [&] { return x / y; });        \
  }                                                            \
  F fused(F a, F b, F c, Rounding rounding) {                  \
    volatile F x = a, y = b, z = c;                            \
    return in_mode<F>(rounding, [&] { return FMA(x, y, z); }); \
  }                                                            \
  F root(F a, Rounding rounding) {                             \
    volatile F x = a;                                          \
    return in_mode<F>(rounding, [&] { return SQRT(x); });      \
  }
SIMT_ARITHMETIC(float, fmaf, sqrtf)
SIMT_ARITHMETIC(double, fma, sqrt)
#undef SIMT_ARITHMETIC

}  // namespace simt

#pragma GCC visibility pop
