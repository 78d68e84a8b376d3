/// The documented errors of CUDA's fast arithmetic: CUDA C++ Programming Guide, section "Mathematical Functions"
/// (standard functions and intrinsic functions). One ulp of a float is at most 2^-23 of its value.
#pragma once

#include <cmath>

namespace dsv4::reference {

/// Greatest relative error of one correctly rounded float operation: half an ulp.
inline constexpr double kRoundingError = 0x1p-24;

/// Greatest relative error of __expf(x). The guide states 2 + floor(1.173 |x|) ulp. Without the floor, a part of an ulp
/// more is allowed.
inline double fast_exp_error(double x) { return 0x1p-23 * (2.0 + 1.173 * std::fabs(x)); }

/// Greatest relative error of rsqrtf: 2 ulp. rsqrtf(0) is infinite, and rsqrtf of infinity is 0.
inline constexpr double kRsqrtError = 2 * 0x1p-23;

/// Greatest relative error of __fdividef(x, y) for |y| from 2^-126 to 2^126: 2 ulp. With -use_fast_math, x / y has this
/// error. A product with the reciprocal has at most 1 ulp from the reciprocal and half an ulp from the product.
inline constexpr double kFastDivisionError = 2 * 0x1p-23;

}  // namespace dsv4::reference
