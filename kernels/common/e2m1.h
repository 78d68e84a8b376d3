/// E2M1 codes, the 4-bit numbers +-{0, 0.5, 1, 1.5, 2, 3, 4, 6}, and their scale bytes.
#pragma once

#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr float kE2m1Max = 6.0f;

/// Returns the code of the nearest number. A value halfway between two numbers gets the one nearer to zero, and larger
/// magnitudes are clipped to 6. NaN is clipped to +6, which has code 7. Zero never has a sign.
DSV4_DEVICE std::uint32_t e2m1_code(float x) {
  const float middle_above[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};  // between code i and i + 1
  const float magnitude = min_number(fabsf(x), kE2m1Max);
  std::uint32_t code = 0;
#pragma unroll
  for (int i = 0; i < 7; ++i) code += magnitude > middle_above[i] ? 1u : 0u;
  return x < 0.0f && code != 0 ? code | 8u : code;
}

/// Returns the code of each element times `inverse`. Each byte of the result holds two codes, the first one in its low
/// half.
template <int kCount>
DSV4_DEVICE std::uint32_t e2m1_codes(const float* x, float inverse) {
  static_assert(kCount <= 8);
  std::uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) word |= e2m1_code(__fmul_rn(x[i], inverse)) << (4 * i);
  return word;
}

/// Returns the UE8M0 byte of a group whose greatest magnitude is `amax`. A smaller one than 1e-4 counts as 1e-4. The
/// byte of infinity is 255.
DSV4_DEVICE std::uint32_t e2m1_scale_byte(float amax) {
  return ue8m0_byte(__fdiv_rn(max_number(1e-4f, amax), kE2m1Max));
}

}  // namespace dsv4
