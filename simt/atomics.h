/// Atomic functions. One thread runs at a time, so a plain read followed by a plain write is atomic. Just before the
/// read, another thread may run (atomic_point).
#pragma once

#include <algorithm>
#include <type_traits>

#include "simt/executor.h"

namespace simt {

template <typename T, typename... Allowed>
inline constexpr bool kIsOneOf = (std::is_same_v<T, Allowed> || ...);

template <typename T>
using Identity = std::type_identity_t<T>;

template <typename T, typename Update>
T update(T* address, Update next) {
  atomic_point();
  const T old = *address;
  *address = next(old);
  return old;
}

}  // namespace simt

// Only the types of CUDA's overloads are allowed, so that code that nvcc refuses does not compile here either.
template <typename T>
T atomicAdd(T* address, simt::Identity<T> value) {
  static_assert(simt::kIsOneOf<T, int, unsigned, unsigned long long, float, double, __half, __half2, __nv_bfloat16,
                               __nv_bfloat162>,
                "CUDA has no atomicAdd of this type");
  return simt::update(address, [&](T old) {
    if constexpr (std::is_same_v<T, int>) {
      return static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value));
    } else {
      return static_cast<T>(old + value);
    }
  });
}
inline float2 atomicAdd(float2* address, float2 value) {
  return simt::update(address, [&](float2 old) { return float2{old.x + value.x, old.y + value.y}; });
}
inline float4 atomicAdd(float4* address, float4 value) {
  return simt::update(address, [&](float4 old) {
    return float4{old.x + value.x, old.y + value.y, old.z + value.z, old.w + value.w};
  });
}

template <typename T>
T atomicSub(T* address, simt::Identity<T> value) {
  static_assert(simt::kIsOneOf<T, int, unsigned>, "CUDA has no atomicSub of this type");
  return simt::update(address,
                      [&](T old) { return static_cast<T>(static_cast<unsigned>(old) - static_cast<unsigned>(value)); });
}

template <typename T>
T atomicExch(T* address, simt::Identity<T> value) {
  static_assert(simt::kIsOneOf<T, int, unsigned, unsigned long long, float>, "CUDA has no atomicExch of this type");
  return simt::update(address, [&](T) { return value; });
}

template <typename T>
T atomicCAS(T* address, simt::Identity<T> compare, simt::Identity<T> value) {
  static_assert(simt::kIsOneOf<T, int, unsigned, unsigned long long, unsigned short>,
                "CUDA has no atomicCAS of this type");
  return simt::update(address, [&](T old) { return old == compare ? value : old; });
}

#define SIMT_INTEGER_ATOMIC(NAME, EXPRESSION)                                      \
  template <typename T>                                                            \
  T NAME(T* address, simt::Identity<T> value) {                                    \
    static_assert(simt::kIsOneOf<T, int, unsigned, long long, unsigned long long>, \
                  "CUDA has no " #NAME " of this type");                           \
    return simt::update(address, [&](T old) -> T { return EXPRESSION; });          \
  }
SIMT_INTEGER_ATOMIC(atomicMin, std::min(old, value))
SIMT_INTEGER_ATOMIC(atomicMax, std::max(old, value))
SIMT_INTEGER_ATOMIC(atomicAnd, old& value)
SIMT_INTEGER_ATOMIC(atomicOr, old | value)
SIMT_INTEGER_ATOMIC(atomicXor, old ^ value)
#undef SIMT_INTEGER_ATOMIC

inline unsigned atomicInc(unsigned* address, unsigned limit) {
  return simt::update(address, [&](unsigned old) { return old >= limit ? 0u : old + 1; });
}
inline unsigned atomicDec(unsigned* address, unsigned limit) {
  return simt::update(address, [&](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}

// One thread runs at a time, so the scope of an atomic (block or system) makes no difference.
#define SIMT_SCOPED_ATOMIC(NAME)               \
  template <typename... Arguments>             \
  auto NAME##_block(Arguments... arguments) {  \
    return NAME(arguments...);                 \
  }                                            \
  template <typename... Arguments>             \
  auto NAME##_system(Arguments... arguments) { \
    return NAME(arguments...);                 \
  }
SIMT_SCOPED_ATOMIC(atomicAdd)
SIMT_SCOPED_ATOMIC(atomicSub)
SIMT_SCOPED_ATOMIC(atomicExch)
SIMT_SCOPED_ATOMIC(atomicCAS)
SIMT_SCOPED_ATOMIC(atomicMin)
SIMT_SCOPED_ATOMIC(atomicMax)
SIMT_SCOPED_ATOMIC(atomicAnd)
SIMT_SCOPED_ATOMIC(atomicOr)
SIMT_SCOPED_ATOMIC(atomicXor)
#undef SIMT_SCOPED_ATOMIC
