/// The arithmetic functions that only CUDA has, and the host library does not have. The fast-math functions (`__expf`,
/// `__fdividef`, ...) call the precise host functions, because a CPU cannot reproduce the rounding of a GPU's
/// approximations. If CUDA specifies every bit of a function's result (`__fmaf_rn`, conversions, integer functions),
/// the function is exact.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <type_traits>

// --- bits ----------------------------------------------------------------------------------------------------------

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __double2hiint(double x) { return static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 32); }
inline int __double2loint(double x) { return static_cast<int>(std::bit_cast<std::uint64_t>(x)); }
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(static_cast<unsigned>(high)) << 32 |
                               static_cast<unsigned>(low));
}

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __ffsll(long long x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1; }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 |
         __brev(static_cast<unsigned>(x >> 32));
}

/// Each of the four low nibbles of `selector` picks one of the eight bytes of (y:x). If bit 3 of the nibble is set, all
/// eight bits of the picked byte become its sign bit.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned nibble = selector >> (4 * i) & 0xFu;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (nibble & 7u))) & 0xFFu;
    if ((nibble & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xFFu : 0u;
    result |= byte << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31u) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31u));
}

// --- integers ------------------------------------------------------------------------------------------------------

inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<std::int64_t>(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
__extension__ typedef unsigned __int128 simt_uint128;
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<simt_uint128>(a) * b >> 64);
}
inline int __mul24(int a, int b) {
  const auto low24 = [](int x) { return static_cast<int>(static_cast<unsigned>(x) << 8) >> 8; };
  return static_cast<int>(static_cast<unsigned>(low24(a)) * static_cast<unsigned>(low24(b)));
}
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xFFFFFFu) * (b & 0xFFFFFFu); }
inline unsigned __sad(int a, int b, unsigned c) {
  const auto distance = static_cast<std::int64_t>(a) - b;
  return static_cast<unsigned>(distance < 0 ? -distance : distance) + c;
}
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return (a > b ? a - b : b - a) + c; }

// --- min and max ---------------------------------------------------------------------------------------------------

namespace simt {
/// Two integers of any types, as in CUDA's overloads of min and max. The usual arithmetic conversions of C++ apply, so
/// an int and an unsigned are compared as unsigned.
template <typename A, typename B>
concept Integers = std::is_integral_v<A> && std::is_integral_v<B>;
}  // namespace simt

template <typename A, typename B>
requires simt::Integers<A, B>
constexpr auto min(A a, B b) {
  const decltype(a + b) x = a, y = b;
  return y < x ? y : x;
}
template <typename A, typename B>
requires simt::Integers<A, B>
constexpr auto max(A a, B b) {
  const decltype(a + b) x = a, y = b;
  return x < y ? y : x;
}
// The module contains its own fminf, fmaxf, fmin and fmax (math.cpp), so that they treat NaN as a GPU does.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(static_cast<double>(a), b); }
inline double max(float a, double b) { return fmax(static_cast<double>(a), b); }
inline double min(double a, float b) { return fmin(a, static_cast<double>(b)); }
inline double max(double a, float b) { return fmax(a, static_cast<double>(b)); }

// --- floating point ------------------------------------------------------------------------------------------------

namespace simt {

/// Returns `value`, but hides from the compiler how it was computed. So the compiler cannot fuse a product and a sum if
/// `opaque` is between them.
template <typename F>
inline F opaque(F value) {
#if defined(__x86_64__)
  asm("" : "+x"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#else
  asm("" : "+m"(value));
#endif
  return value;
}

enum class Rounding { kTowardZero, kUpward, kDownward };

// These functions are defined in math.cpp. Each one changes the rounding mode of the processor for one operation.
#pragma GCC visibility push(hidden)
float add(float a, float b, Rounding rounding);
float multiply(float a, float b, Rounding rounding);
float divide(float a, float b, Rounding rounding);
float fused(float a, float b, float c, Rounding rounding);
float root(float a, Rounding rounding);
double add(double a, double b, Rounding rounding);
double multiply(double a, double b, Rounding rounding);
double divide(double a, double b, Rounding rounding);
double fused(double a, double b, double c, Rounding rounding);
double root(double a, Rounding rounding);
#pragma GCC visibility pop

}  // namespace simt

inline float __fadd_rn(float a, float b) { return simt::opaque(a) + simt::opaque(b); }
inline float __fsub_rn(float a, float b) { return simt::opaque(a) - simt::opaque(b); }
inline float __fmul_rn(float a, float b) { return simt::opaque(a * b); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return simt::opaque(a) + simt::opaque(b); }
inline double __dsub_rn(double a, double b) { return simt::opaque(a) - simt::opaque(b); }
inline double __dmul_rn(double a, double b) { return simt::opaque(a * b); }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double a) { return 1.0 / a; }
inline double __dsqrt_rn(double a) { return __builtin_sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }

#define SIMT_ROUNDED(SUFFIX, MODE)                                                               \
  inline float __fadd_##SUFFIX(float a, float b) { return simt::add(a, b, MODE); }               \
  inline float __fsub_##SUFFIX(float a, float b) { return simt::add(a, -b, MODE); }              \
  inline float __fmul_##SUFFIX(float a, float b) { return simt::multiply(a, b, MODE); }          \
  inline float __fdiv_##SUFFIX(float a, float b) { return simt::divide(a, b, MODE); }            \
  inline float __frcp_##SUFFIX(float a) { return simt::divide(1.0f, a, MODE); }                  \
  inline float __fsqrt_##SUFFIX(float a) { return simt::root(a, MODE); }                         \
  inline float __fmaf_##SUFFIX(float a, float b, float c) { return simt::fused(a, b, c, MODE); } \
  inline double __dadd_##SUFFIX(double a, double b) { return simt::add(a, b, MODE); }            \
  inline double __dsub_##SUFFIX(double a, double b) { return simt::add(a, -b, MODE); }           \
  inline double __dmul_##SUFFIX(double a, double b) { return simt::multiply(a, b, MODE); }       \
  inline double __ddiv_##SUFFIX(double a, double b) { return simt::divide(a, b, MODE); }         \
  inline double __drcp_##SUFFIX(double a) { return simt::divide(1.0, a, MODE); }                 \
  inline double __dsqrt_##SUFFIX(double a) { return simt::root(a, MODE); }                       \
  inline double __fma_##SUFFIX(double a, double b, double c) { return simt::fused(a, b, c, MODE); }
SIMT_ROUNDED(rz, simt::Rounding::kTowardZero)
SIMT_ROUNDED(ru, simt::Rounding::kUpward)
SIMT_ROUNDED(rd, simt::Rounding::kDownward)
#undef SIMT_ROUNDED

/// These functions are more accurate than on a GPU, where the error of rsqrtf is up to 2 ulp. Here rsqrtf is
/// rounded correctly.
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rsqrtf(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return static_cast<float>(std::pow(10.0, static_cast<double>(x))); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __tanhf(float x) { return tanhf(x); }
inline void __sincosf(float x, float* sine, float* cosine) { *sine = sinf(x), *cosine = cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }  // NaN gives 0

// --- conversions saturate; NaN gives 0, or only the top bit if either side has 64 bits -------------------------------

namespace simt {

template <typename To, typename From>
To to_integer(From x, From (*round)(From)) {
  using Limits = std::numeric_limits<To>;
  if (x != x)
    return sizeof(To) == 8 || sizeof(From) == 8 ? static_cast<To>(std::uint64_t{1} << (8 * sizeof(To) - 1)) : To{0};
  const From rounded = round(x);
  // `limit` is the first value that does not fit: 2^31 or 2^63 if To is signed, 2^32 or 2^64 if it is unsigned. Each of
  // these values is exact in float and in double.
  const From limit = std::ldexp(From{1}, Limits::digits);
  if (rounded >= limit) return Limits::max();
  if (rounded < (Limits::is_signed ? -limit : From{0})) return Limits::min();
  return static_cast<To>(rounded);
}

template <typename F>
F nearest(F x) {
  return std::nearbyint(x);
}
template <typename F>
F toward_zero(F x) {
  return std::trunc(x);
}
template <typename F>
F upward(F x) {
  return std::ceil(x);
}
template <typename F>
F downward(F x) {
  return std::floor(x);
}

}  // namespace simt

#define SIMT_TO_INTEGER(SUFFIX, ROUND)                                                                                \
  inline int __float2int_##SUFFIX(float x) { return simt::to_integer<int, float>(x, simt::ROUND<float>); }            \
  inline unsigned __float2uint_##SUFFIX(float x) { return simt::to_integer<unsigned, float>(x, simt::ROUND<float>); } \
  inline long long __float2ll_##SUFFIX(float x) { return simt::to_integer<long long, float>(x, simt::ROUND<float>); } \
  inline unsigned long long __float2ull_##SUFFIX(float x) {                                                           \
    return simt::to_integer<unsigned long long, float>(x, simt::ROUND<float>);                                        \
  }                                                                                                                   \
  inline int __double2int_##SUFFIX(double x) { return simt::to_integer<int, double>(x, simt::ROUND<double>); }        \
  inline unsigned __double2uint_##SUFFIX(double x) {                                                                  \
    return simt::to_integer<unsigned, double>(x, simt::ROUND<double>);                                                \
  }                                                                                                                   \
  inline long long __double2ll_##SUFFIX(double x) {                                                                   \
    return simt::to_integer<long long, double>(x, simt::ROUND<double>);                                               \
  }
SIMT_TO_INTEGER(rn, nearest)
SIMT_TO_INTEGER(rz, toward_zero)
SIMT_TO_INTEGER(ru, upward)
SIMT_TO_INTEGER(rd, downward)
#undef SIMT_TO_INTEGER

inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ll2float_rn(long long x) { return static_cast<float>(x); }
inline float __ull2float_rn(unsigned long long x) { return static_cast<float>(x); }
inline double __int2double_rn(int x) { return x; }
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return static_cast<double>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
