/// Converts to and from small floating-point formats. The results have the same bits on every machine.
#pragma once

#include <bit>
#include <cstdint>

namespace dsv4 {

/// Bits of the bfloat16 nearest to `x`, ties to even. Every NaN becomes 0x7fff, as on NVIDIA GPUs.
constexpr std::uint16_t bf16_from_float(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/// The float with exactly the value of the bfloat16 `h`.
constexpr float float_from_bf16(std::uint16_t h) { return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16); }

/// Exact value of an IEEE binary16.
double double_from_f16(std::uint16_t h);

/// Exact value of an E4M3 code; NaN for 0x7f and 0xff. The format is the one without infinities, also called "e4m3fn".
double double_from_e4m3(std::uint8_t code);

/// Exact value of an E5M2 code.
double double_from_e5m2(std::uint8_t code);

/// E4M3 code nearest to `x`, ties to even, saturating at +-448; NaN gives 0x7f. The sign of zero is kept.
std::uint8_t e4m3_from_double(double x);

}  // namespace dsv4
