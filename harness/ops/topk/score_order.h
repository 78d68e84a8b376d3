/// The order of float scores in the top-k ops, and the coarse bins into which the kernels sort the scores first.
#pragma once

#include <bit>
#include <cstdint>

namespace dsv4 {

/// Maps a float to an integer whose order is the total order of floats, ascending: -NaN < -inf < ... < -0 < +0 < ... <
/// +inf < +NaN.
inline std::uint32_t order_bits(float score) {
  const auto u = std::bit_cast<std::uint32_t>(score);
  return (u & 0x80000000u) != 0 ? ~u : (u | 0x80000000u);
}

/// Sort key of the top-k ops; a greater key is better. Every NaN is above every number. Otherwise keys are in the total
/// order of floats.
inline std::uint64_t rank_key(float score) {
  const bool nan = (std::bit_cast<std::uint32_t>(score) & 0x7fffffffu) > 0x7f800000u;
  return (static_cast<std::uint64_t>(nan) << 32) | order_bits(score);
}

/// Bits of the binary16 nearest to `x`, ties to even. Overflow gives infinity; every NaN becomes 0x7fff, as on
/// NVIDIA GPUs.
inline std::uint16_t f16_bits(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (u >> 16) & 0x8000u;
  const std::uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fff;
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and above
  if (magnitude < 0x38800000u) {
    // Below 2^-14, binary16 is a fixed-point format with the quantum 2^-24. After 0.5 is added, the last bit of the
    // float has this value too.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - ((127u - 15u) << 23);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

/// The bin of a kernel's first pass: the highest `bits` bits of the binary16 value, mapped to an integer in total
/// order. The first pass of topk_v1 has 8 bits, and that of topk_v2 up to 12.
inline std::uint32_t coarse_bin(float score, int bits = 8) {
  const std::uint32_t h = f16_bits(score);
  return ((h & 0x8000u) != 0 ? (~h & 0xffffu) : (h | 0x8000u)) >> (16 - bits);
}

}  // namespace dsv4
