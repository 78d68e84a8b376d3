/// Device functions that several in-tree kernels share: vector access, warp reductions, FP8 and scale bytes.
///
/// The same source is compiled twice: by nvcc for a GPU, and by the host compiler for the executor in simt/. For the
/// host, the build includes simt's prelude before everything else; the prelude replaces the CUDA language. So a kernel
/// may use these functions and plain CUDA C++ (indices, __syncthreads, __shfl_xor_sync, atomics, __shared__), but not
/// inline assembly. Where rounding matters, arithmetic is written with `__fmul_rn`, `__fmaf_rn` and `__fdiv_rn`. Then
/// neither compiler may contract it, and both give the same bits.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#define DSV4_DEVICE __device__ __forceinline__

namespace dsv4 {

inline constexpr unsigned kWarpLanes = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

template <typename T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

/// Blocks until everything that earlier kernels of the stream wrote is visible. Every kernel launched with
/// `overlap_previous` calls it in all threads, even in threads with nothing to do. Otherwise the kernel could end
/// before its predecessor, and its successor would start too early.
DSV4_DEVICE void wait_for_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && defined(__NVCC__)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#elif defined(DSV4_SIMT)
  simt::grid_dependency_wait();
#endif
}

/// Lets the stream's next kernel be scheduled. That kernel still waits for this kernel's writes before
/// it reads anything.
DSV4_DEVICE void allow_next_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && defined(__NVCC__)
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// --- vector access -------------------------------------------------------------------------------------------------

// The host compiler must be told that these may alias the elements they move.
#if defined(__NVCC__)
using Word4 = unsigned;
using Word8 = uint2;
using Word16 = uint4;
#else
using Word4 [[gnu::may_alias]] = unsigned;
struct alignas(8) [[gnu::may_alias]] Word8 {
  unsigned words[2];
};
struct alignas(16) [[gnu::may_alias]] Word16 {
  unsigned words[4];
};
#endif

/// `N` consecutive elements in registers. If `kWide`, `load` and `store` use accesses of 16 bytes, or of 8 or 4 bytes
/// if the pack has only that size. The address must then be a multiple of the access size. Otherwise they move the
/// elements one by one.
template <typename T, int N, bool kWide>
struct Pack {
  static constexpr int kBytes = N * static_cast<int>(sizeof(T));
  static constexpr int kAccess = !kWide ? 0 : kBytes % 16 == 0 ? 16 : kBytes == 8 || kBytes == 4 ? kBytes : 0;
  alignas(kAccess == 0 ? alignof(T) : kAccess) T v[N];

  DSV4_DEVICE void load(const T* from) {
    if constexpr (kAccess == 0) {
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] = from[i];
    } else {
      move(v, from);
    }
  }
  DSV4_DEVICE void store(T* to) const {
    if constexpr (kAccess == 0) {
#pragma unroll
      for (int i = 0; i < N; ++i) to[i] = v[i];
    } else {
      move(to, v);
    }
  }

 private:
  static DSV4_DEVICE void move(void* to, const void* from) {
    if constexpr (kAccess == 4) {
      *static_cast<Word4*>(to) = *static_cast<const Word4*>(from);
    } else if constexpr (kAccess == 8) {
      *static_cast<Word8*>(to) = *static_cast<const Word8*>(from);
    } else {
#pragma unroll
      for (int i = 0; i < kBytes / 16; ++i) static_cast<Word16*>(to)[i] = static_cast<const Word16*>(from)[i];
    }
  }
};

/// Writes a pack into bytes. If `kWide`, it uses the pack's accesses, and the address must be aligned for them.
/// Otherwise it writes byte by byte, and the address may be odd.
template <bool kWide, typename T, int N>
DSV4_DEVICE void store_bytes(std::uint8_t* to, const Pack<T, N, kWide>& pack) {
  if constexpr (kWide) {
    pack.store(reinterpret_cast<T*>(to));
  } else {
    const auto* from = reinterpret_cast<const std::uint8_t*>(pack.v);
#pragma unroll
    for (int i = 0; i < N * static_cast<int>(sizeof(T)); ++i) to[i] = from[i];
  }
}

// --- scalars -------------------------------------------------------------------------------------------------------

DSV4_DEVICE float to_float(float x) { return x; }
DSV4_DEVICE float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/// Bits of two bfloat16 values, the low one first. bfloat16 values keep their bits; float32 values are rounded to
/// nearest even (NaN becomes 0x7FFF). The result is a 32-bit word, because a byte-wise store of 16-bit conversion
/// results was wrong on sm_90 (ptxas 13.0).
DSV4_DEVICE std::uint32_t bf16_pair(__nv_bfloat16 low, __nv_bfloat16 high) {
  return static_cast<std::uint32_t>(__bfloat16_as_ushort(low)) | static_cast<std::uint32_t>(__bfloat16_as_ushort(high))
                                                                     << 16;
}
DSV4_DEVICE std::uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return bf16_pair(pair.x, pair.y);
}

/// Minimum and maximum that return the other operand when one is NaN. The GPU's fminf and fmaxf do this. The
/// host library's functions return NaN for a signalling NaN, and half of the bfloat16 NaNs become signalling
/// when they are widened.
DSV4_DEVICE float min_number(float a, float b) {
#if defined(__NVCC__)
  return fminf(a, b);
#else
  if (a != a) return b;
  return b < a ? b : a;
#endif
}
DSV4_DEVICE float max_number(float a, float b) {
#if defined(__NVCC__)
  return fmaxf(a, b);
#else
  if (a != a) return b;
  return b > a ? b : a;
#endif
}

/// Maximum over each aligned group of `kLanes` lanes. Every lane of the group gets it. NaN is ignored.
template <int kLanes>
DSV4_DEVICE float lanes_max(float value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value = max_number(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

/// Maximum over the warp. Every lane gets it. The values must not be negative or NaN. Then they have the same order as
/// their bits, and the hardware has one instruction for an integer maximum.
DSV4_DEVICE float warp_max_magnitude(float value) {
  return __uint_as_float(__reduce_max_sync(kAllLanes, __float_as_uint(value)));
}

/// Sum over each aligned group of `kLanes` lanes, as a butterfly with the widest exchange first. Every lane of the
/// group gets the same bits.
template <int kLanes>
DSV4_DEVICE float lanes_sum(float value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value = __fadd_rn(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

// --- E4M3 codes and UE8M0 scale bytes ------------------------------------------------------------------------------

inline constexpr float kE4m3Max = 448.0f;

/// Two E4M3 codes (low byte first), rounded to nearest even after clipping to +-448. NaN clips to +448: code 0x7E.
DSV4_DEVICE std::uint16_t e4m3_codes(float low, float high) {
  const float2 clipped{max_number(min_number(low, kE4m3Max), -kE4m3Max),
                       max_number(min_number(high, kE4m3Max), -kE4m3Max)};
  return __nv_cvt_float2_to_fp8x2(clipped, __NV_SATFINITE, __NV_E4M3);
}

/// The UE8M0 byte of a positive scale: the smallest power of two that is not below it, as a biased exponent.
/// Infinity gives 255.
DSV4_DEVICE std::uint32_t ue8m0_byte(float scale) {
  const std::uint32_t bits = __float_as_uint(scale);
  return ((bits >> 23) & 0xFFu) + ((bits & 0x7FFFFFu) != 0 ? 1u : 0u);
}

/// The UE8M0 byte of fl(amax / 448), without the division: 448 is 1.75 * 2^8, so the quotient passes a power of
/// two where the mantissa of amax passes 0.75. It is valid for amax >= 2^-118. Infinity gives 255, as it does
/// with the division.
DSV4_DEVICE std::uint32_t ue8m0_byte_of_amax(float amax) {
  const std::uint32_t bits = __float_as_uint(amax);
  if (bits == 0x7F800000u) return 255u;
  return (bits >> 23) - 8u + ((bits & 0x7FFFFFu) > 0x600000u ? 1u : 0u);
}

/// 2^(127 - byte), the factor that quantises by a scale byte; exact for 1..253. For 255 (a group with an infinity) the
/// exponent field wraps and the result is -Inf, which is what the cache format's kernels have always produced.
DSV4_DEVICE float ue8m0_inverse(std::uint32_t byte) { return __uint_as_float((254u - byte) << 23); }

/// 2^(byte - 127). Byte 0 is never produced here (it would need a scale below 2^-126).
DSV4_DEVICE float ue8m0_value(std::uint32_t byte) { return __uint_as_float(byte << 23); }

}  // namespace dsv4
