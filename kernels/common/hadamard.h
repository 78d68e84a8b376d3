/// The Hadamard transform of a row that several lanes hold in registers.
#pragma once

#include "kernels/common/device.h"

namespace dsv4 {

/// Transforms a row of kCount * kLanes = 128 elements. Lane l of an aligned group of kLanes lanes holds the elements
/// from kCount * l on. All lanes of the warp must call it.
///
/// In the stage of each power of two, a pair of elements that are so far apart becomes its sum and its difference. The
/// stages of 1, 2, 4, ..., 64 follow each other in this order, and every sum is rounded. So every bit is specified,
/// however the row is divided among lanes. Elements below kCount apart are in one lane; the others need a shuffle.
template <int kCount, int kLanes>
DSV4_DEVICE void hadamard(float (&x)[kCount]) {
  static_assert(kCount * kLanes == 128 && kLanes <= 32);
#pragma unroll
  for (int apart = 1; apart < kCount; apart *= 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if ((i & apart) != 0) continue;
      const float first = x[i], second = x[i + apart];
      x[i] = __fadd_rn(first, second);
      x[i + apart] = __fsub_rn(first, second);
    }
  }
#pragma unroll
  for (int apart = 1; apart < kLanes; apart *= 2) {
    const bool is_second = (static_cast<int>(threadIdx.x) & apart) != 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float other = __shfl_xor_sync(kAllLanes, x[i], apart);
      x[i] = is_second ? __fsub_rn(other, x[i]) : __fadd_rn(x[i], other);
    }
  }
  constexpr float kScale = 0x1.6a09e6p-4f;  // the float nearest to 1 / sqrt(128)
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = __fmul_rn(x[i], kScale);
}

}  // namespace dsv4
