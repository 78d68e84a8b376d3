/// E2M1, the number format of FP4: a sign bit, two exponent bits and one mantissa bit. It has no infinity and no NaN.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "reference/common/number.h"

namespace dsv4::reference {

/// The values of the codes 0 ... 7. Bit 3 of a code is the sign.
inline constexpr std::array<double, 8> kE2m1Magnitudes{0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
inline constexpr float kE2m1Max = 6.0f;

/// Returns the code of the nearest value, in the form that the indexer kernels use. A value halfway between two codes
/// gets the one with the smaller magnitude. A magnitude above 6 becomes 6, and NaN becomes +6. Zero has no sign: no
/// value has the code 8. (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh:24-36.)
inline std::uint8_t to_e2m1_ties_to_zero(double x) {
  if (std::isnan(x)) return 7;
  std::size_t code = 0;
  while (code < 7 && std::fabs(x) > (kE2m1Magnitudes[code] + kE2m1Magnitudes[code + 1]) / 2) ++code;
  return static_cast<std::uint8_t>(x < 0 && code != 0 ? code | 8 : code);
}

/// Returns the UE8M0 byte with which the greatest magnitude of a group becomes at most 6. So that no scale is 0, a
/// magnitude below 1e-4 counts as 1e-4. (main_norm_rope.cuh:758-759)
inline std::uint8_t e2m1_scale_byte(float greatest) { return ue8m0_above(std::max(1e-4f, greatest) / kE2m1Max); }

}  // namespace dsv4::reference
