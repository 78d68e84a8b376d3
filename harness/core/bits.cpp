#include "harness/core/bits.h"

#include <cmath>
#include <limits>

namespace dsv4 {
namespace {

/// Value of a number in a small IEEE-like format: a sign bit, `exponent_bits` with the bias `bias`, and
/// `mantissa_bits`. The numbers with exponent field 0 are subnormal or zero.
double small_float(unsigned bits, int exponent_bits, int mantissa_bits, int bias) {
  const unsigned mantissa = bits & ((1u << mantissa_bits) - 1u);
  const unsigned exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1u);
  const double sign = ((bits >> (exponent_bits + mantissa_bits)) & 1u) != 0 ? -1.0 : 1.0;
  if (exponent == 0) return sign * std::ldexp(static_cast<double>(mantissa), 1 - bias - mantissa_bits);
  return sign * std::ldexp(static_cast<double>(mantissa | (1u << mantissa_bits)),
                           static_cast<int>(exponent) - bias - mantissa_bits);
}

/// The same for formats whose highest exponent means infinity and NaN.
double ieee_float(unsigned bits, int exponent_bits, int mantissa_bits, int bias) {
  const unsigned top = (1u << exponent_bits) - 1u;
  if (((bits >> mantissa_bits) & top) == top) {
    if ((bits & ((1u << mantissa_bits) - 1u)) != 0) return std::numeric_limits<double>::quiet_NaN();
    const bool negative = ((bits >> (exponent_bits + mantissa_bits)) & 1u) != 0;
    return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  }
  return small_float(bits, exponent_bits, mantissa_bits, bias);
}

}  // namespace

double double_from_f16(std::uint16_t h) { return ieee_float(h, 5, 10, 15); }

double double_from_e5m2(std::uint8_t code) { return ieee_float(code, 5, 2, 15); }

double double_from_e4m3(std::uint8_t code) {
  if ((code & 0x7fu) == 0x7fu) return std::numeric_limits<double>::quiet_NaN();
  return small_float(code, 4, 3, 7);
}

std::uint8_t e4m3_from_double(double x) {
  if (std::isnan(x)) return 0x7f;
  const std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const double magnitude = std::fabs(x);
  if (magnitude >= 464.0) return sign | 0x7e;  // 464: midpoint between 448 and 480, which E4M3 lacks
  // The quantum is the distance between neighbouring E4M3 numbers. It is 2^-9 below 2^-6, the smallest normal number,
  // and 2^(e-3) for larger numbers, whose exponent is e. nearbyint rounds ties to even.
  const int exponent = magnitude < 0x1p-6 ? -6 : std::ilogb(magnitude);
  const double quantum = std::ldexp(1.0, exponent - 3);
  const double rounded = std::nearbyint(magnitude / quantum) * quantum;
  if (rounded > 448.0) return sign | 0x7e;
  if (rounded < 0x1p-6) return sign | static_cast<std::uint8_t>(rounded * 0x1p9);
  const int e = std::ilogb(rounded);
  return sign | static_cast<std::uint8_t>((e + 7) << 3) | static_cast<std::uint8_t>(std::ldexp(rounded, 3 - e) - 8.0);
}

}  // namespace dsv4
