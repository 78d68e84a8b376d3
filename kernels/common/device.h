/// Device functions that several in-tree kernels share: vector access, warp reductions, FP8 and scale bytes.
///
/// The same source is compiled twice: by nvcc for a GPU, and by the host compiler for the host executor in simt/. For
/// the host, the build includes simt's prelude before everything else. The prelude provides the CUDA language there. So
/// a kernel may use these functions and plain CUDA C++ (indices, __syncthreads, __shfl_xor_sync, atomics, __shared__),
/// but not inline assembly. Where rounding matters, arithmetic is written with `__fmul_rn`, `__fmaf_rn` and
/// `__fdiv_rn`. Then neither compiler may fuse a product with a sum by itself, and both compilers give the same bits.
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

/// Waits until all writes of earlier kernels of the stream are visible. In a kernel that is launched with
/// `overlap_previous`, all threads must call it, even threads that have nothing to do. Otherwise the kernel could end
/// before its predecessor has ended, and its successor would start too early.
///
/// There is no function for the opposite instruction, the trigger (griddepcontrol.launch_dependents), which lets the
/// stream's next kernel begin early. The end of a block does the same, and it comes after the block's last write. By
/// CUDA's rules a kernel may trigger earlier, because the next kernel must wait before it reads. But some kernels of
/// other packages read before they wait. In front of such a kernel, an early trigger gives wrong results.
DSV4_DEVICE void wait_for_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && defined(__NVCC__)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#elif defined(DSV4_SIMT)
  simt::grid_dependency_wait();
#endif
}

// --- vector access -------------------------------------------------------------------------------------------------

// `Pack` copies elements of other types as words of these types. With the host compiler, this is allowed only if the
// words have the attribute may_alias.
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

/// `N` consecutive elements in registers. If `kWide` is true, `load` and `store` use accesses of 16 bytes, or one
/// access of 8 or 4 bytes if the pack has only that size. The address must then be a multiple of the access size. If
/// `kWide` is false, or the pack has another size, the elements are read or written one by one.
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

/// Writes a pack to an array of bytes. If `kWide` is true, it uses `Pack::store`, and the address must be aligned as
/// that function needs. If `kWide` is false, it writes byte by byte, and any address is allowed.
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

/// Returns the bits of two bfloat16 values in one word; `low` is in the low half. A bfloat16 argument keeps its bits. A
/// float32 argument is rounded to nearest even, and NaN becomes 0x7FFF. The result has 32 bits for this reason: ptxas
/// 13.0 compiled a byte-wise store of 16-bit conversion results wrongly for sm_90.
DSV4_DEVICE std::uint32_t bf16_pair(__nv_bfloat16 low, __nv_bfloat16 high) {
  return static_cast<std::uint32_t>(__bfloat16_as_ushort(low)) | static_cast<std::uint32_t>(__bfloat16_as_ushort(high))
                                                                     << 16;
}
DSV4_DEVICE std::uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return bf16_pair(pair.x, pair.y);
}

/// Minimum and maximum. If one operand is NaN, the result is the other operand. The GPU's fminf and fmaxf do the same.
/// Those of the host's C library return NaN if an operand is a signalling NaN. About half of the bfloat16 NaNs become
/// signalling NaNs when they are widened to float32.
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

/// Maximum over each aligned group of `kLanes` lanes. Every lane of a group gets the group's maximum. NaN is ignored.
template <int kLanes>
DSV4_DEVICE float lanes_max(float value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value = max_number(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

/// Maximum over the warp. Every lane gets the maximum. The values must not be negative or NaN. All other values have
/// the same order as their bits, read as integers. The hardware has one instruction for an integer maximum.
DSV4_DEVICE float warp_max_magnitude(float value) {
  return __uint_as_float(__reduce_max_sync(kAllLanes, __float_as_uint(value)));
}

/// Sum over each aligned group of `kLanes` lanes. In each step, every lane adds the value of a partner lane (a
/// butterfly). The partner is kLanes / 2 lanes away in the first step, and half as far in each next step. Every lane of
/// a group gets the same bits.
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

/// Returns two E4M3 codes; the code of `low` is in the low byte. Values are clipped to +-448 and then rounded to
/// nearest even. NaN is clipped to +448, which has code 0x7E.
DSV4_DEVICE std::uint16_t e4m3_codes(float low, float high) {
  const float2 clipped{max_number(min_number(low, kE4m3Max), -kE4m3Max),
                       max_number(min_number(high, kE4m3Max), -kE4m3Max)};
  return __nv_cvt_float2_to_fp8x2(clipped, __NV_SATFINITE, __NV_E4M3);
}

/// Returns the UE8M0 byte of a positive scale: the biased exponent of the smallest power of two >= `scale`. The byte of
/// infinity is 255.
DSV4_DEVICE std::uint32_t ue8m0_byte(float scale) {
  const std::uint32_t bits = __float_as_uint(scale);
  return ((bits >> 23) & 0xFFu) + ((bits & 0x7FFFFFu) != 0 ? 1u : 0u);
}

/// Returns the UE8M0 byte of amax / 448 (rounded to float32) without a division. Because 448 = 1.75 * 2^8, the quotient
/// exceeds a power of two where the mantissa of amax exceeds 1.75. The result is correct for amax >= 2^-118. The byte
/// of an infinite amax is 255, as with the division.
DSV4_DEVICE std::uint32_t ue8m0_byte_of_amax(float amax) {
  const std::uint32_t bits = __float_as_uint(amax);
  if (bits == 0x7F800000u) return 255u;
  return (bits >> 23) - 8u + ((bits & 0x7FFFFFu) > 0x600000u ? 1u : 0u);
}

/// Returns 2^(127 - byte), the factor by which the elements of a group are multiplied. It is exact for bytes 1..253.
/// For byte 255 (a group with an infinity), the exponent field wraps around and the result is -Inf. The kernels that
/// define the cache format have always given this result.
DSV4_DEVICE float ue8m0_inverse(std::uint32_t byte) { return __uint_as_float((254u - byte) << 23); }

/// Returns 2^(byte - 127). Byte 0 does not occur, because it would need a scale below 2^-126.
DSV4_DEVICE float ue8m0_value(std::uint32_t byte) { return __uint_as_float(byte << 23); }

}  // namespace dsv4
