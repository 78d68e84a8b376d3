/// The rotation of a pair, as all kernels of this folder compute it.
#pragma once

#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr int kRopeDim = 64;  ///< the number of elements of a head that are rotated

/// Multiplies the pair (re, im) by c + j*s, or by c - j*s if `kInverse` is true. One product of each sum is fused,
/// always the same one, so every bit of the result is specified.
template <bool kInverse>
DSV4_DEVICE float2 rotated(float re, float im, float c, float s) {
  if constexpr (kInverse) {
    return {__fmaf_rn(c, re, __fmul_rn(s, im)), __fmaf_rn(c, im, -__fmul_rn(s, re))};
  } else {
    return {__fmaf_rn(c, re, -__fmul_rn(s, im)), __fmaf_rn(s, re, __fmul_rn(c, im))};
  }
}

}  // namespace dsv4
