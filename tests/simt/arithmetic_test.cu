// Tests of operations whose results CUDA specifies bit by bit: atomics, integer functions, rounding, conversions,
// minima and NaN.
#include <bit>
#include <cmath>
#include <limits>

#include "tests/simt/launching.h"

namespace simt_test {
namespace {

using Arithmetic = SimtTest;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

__global__ void atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d) {
  const int t = static_cast<int>(threadIdx.x);
  atomicAdd(&i[0], t);
  atomicSub(&i[1], 1);
  atomicMin(&i[2], -t);
  atomicMax(&i[3], t);
  atomicAnd(&u[0], ~(1u << (t % 8)));
  atomicOr(&u[1], 1u << (t % 32));
  atomicXor(&u[2], 1u << (t % 32));
  atomicInc(&u[3], 9);
  atomicAdd(&l[0], 1ull << 33);
  atomicMax(&l[1], static_cast<unsigned long long>(t));
  atomicAdd(&f[0], 0.5f);
  atomicAdd(&d[0], 0.25);
  int seen = i[4], assumed;
  do {  // adds 1 with compare-and-swap
    assumed = seen;
    seen = atomicCAS(&i[4], assumed, assumed + 1);
  } while (seen != assumed);
  if (t == 7) i[5] = atomicExch(&i[6], 77);
}

TEST_F(Arithmetic, AtomicsLoseNoUpdate) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> i{0, 1000, 0, 0, 0, 0, 5};
    std::vector<unsigned> u{0xFFFF, 0, 0, 0};
    unsigned long long l[2] = {0, 0};
    float f = 0;
    double d = 0;
    ASSERT_EQ(launch(1, 128, atomics, i.data(), u.data(), l, &f, &d), cudaSuccess);
    EXPECT_EQ(i, (std::vector<int>{8128, 872, -127, 127, 128, 5, 77}));
    EXPECT_EQ(u, (std::vector<unsigned>{0xFF00, 0xFFFFFFFF, 0, 128 % 10}));
    EXPECT_EQ(l[0], 128ull << 33);
    EXPECT_EQ(l[1], 127u);
    EXPECT_EQ(f, 64.0f);
    EXPECT_EQ(d, 32.0);
  }
}

TEST_F(Arithmetic, IntegerFunctionsHaveKnownResults) {
  EXPECT_EQ(__popc(0xF0F0u), 8);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__brevll(2ull), 1ull << 62);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7531u), 0x77553311u);
  EXPECT_EQ(__byte_perm(0x000080FFu, 0, 0x8889u) & 0xFFFFu, 0xFFFFu);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
  EXPECT_EQ(__funnelshift_r(0x2u, 1u, 1), 0x80000001u);
  EXPECT_EQ(__umulhi(0xFFFFFFFFu, 0xFFFFFFFFu), 0xFFFFFFFEu);
  EXPECT_EQ(__mulhi(-1, 1), -1);
  EXPECT_EQ(__mul24(0x01FFFFFF, 3), -3);
  EXPECT_EQ(max(3u, -1), 0xFFFFFFFFu) << "int and unsigned must be compared as unsigned";
  EXPECT_EQ(min(-5, 3), -5);
}

TEST_F(Arithmetic, MinimumAndMaximumDropEveryNaN) {
  volatile unsigned quiet = 0x7FC00001u, signalling = 0x7F800001u, negative = 0xFFA00000u;
  for (const unsigned bits : {unsigned{quiet}, unsigned{signalling}, unsigned{negative}}) {
    const float nan = __uint_as_float(bits);
    EXPECT_EQ(fmaxf(nan, 2.0f), 2.0f) << std::hex << bits;
    EXPECT_EQ(fmaxf(2.0f, nan), 2.0f);
    EXPECT_EQ(fminf(nan, -2.0f), -2.0f);
    EXPECT_EQ(fminf(-2.0f, nan), -2.0f);
    EXPECT_EQ(max(nan, 1.0f), 1.0f);
    EXPECT_TRUE(std::isnan(fmaxf(nan, nan)));
  }
  EXPECT_FALSE(std::signbit(fmaxf(-0.0f, 0.0f)));
  EXPECT_TRUE(std::signbit(fminf(0.0f, -0.0f)));
  EXPECT_EQ(fmax(std::nan(""), 1.0), 1.0);
}

TEST_F(Arithmetic, RoundingModesAreRespected) {
  volatile float one = 1.0f, tiny = std::ldexp(1.0f, -30), third = 3.0f;
  EXPECT_EQ(__fadd_rn(one, tiny), 1.0f);
  EXPECT_GT(__fadd_ru(one, tiny), 1.0f);
  EXPECT_EQ(__fadd_rd(one, tiny), 1.0f);
  EXPECT_LT(__fsub_rz(one, tiny), 1.0f);
  EXPECT_LT(__fdiv_rd(one, third), __fdiv_ru(one, third));
  EXPECT_EQ(__fmaf_rn(one + std::ldexp(1.0f, -12), one + std::ldexp(1.0f, -12), -one),
            std::ldexp(1.0f, -11) + std::ldexp(1.0f, -24));
  EXPECT_EQ(__frcp_rn(third), 1.0f / 3.0f);
}

/// A product and a sum that are written as separate operations must stay separate, even in a module that is compiled to
/// fuse products and sums.
TEST_F(Arithmetic, SpelledOutOperationsAreNotFused) {
  volatile float a = 1.0f + std::ldexp(1.0f, -12), c = -(1.0f + std::ldexp(1.0f, -11));
  EXPECT_EQ(__fadd_rn(__fmul_rn(a, a), c), 0.0f);
  EXPECT_EQ(__fmaf_rn(a, a, c), std::ldexp(1.0f, -24));
}

TEST_F(Arithmetic, ConversionsSaturate) {
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__float2int_rn(3.5f), 4);
  EXPECT_EQ(__float2int_rz(-2.9f), -2);
  EXPECT_EQ(__float2int_ru(2.1f), 3);
  EXPECT_EQ(__float2int_rd(-2.1f), -3);
  EXPECT_EQ(__float2int_rn(3e9f), std::numeric_limits<int>::max());
  EXPECT_EQ(__float2int_rn(-3e9f), std::numeric_limits<int>::min());
  EXPECT_EQ(__float2int_rn(std::nanf("")), 0);
  // PTX converts a NaN to 0. But if the source or the result has 64 bits, only the top bit of the result is set.
  EXPECT_EQ(__double2int_rn(std::nan("")), std::numeric_limits<int>::min());
  EXPECT_EQ(__double2uint_rn(std::nan("")), 0x80000000u);
  EXPECT_EQ(__float2ll_rn(std::nanf("")), std::numeric_limits<long long>::min());
  EXPECT_EQ(__float2uint_rn(-1.0f), 0u);
  EXPECT_EQ(__float2uint_rn(5e9f), 0xFFFFFFFFu);
}

TEST_F(Arithmetic, NarrowFormatsRoundAsOnTheGpu) {
  // Every NaN becomes 0x7FFF. In binary16, 65520 is the least value that becomes infinity, and 2^-25 is the greatest
  // value that becomes zero.
  for (const unsigned nan : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0xFFFFFFFFu}) {
    EXPECT_EQ(__half_as_ushort(__float2half_rn(__uint_as_float(nan))), 0x7FFF);
    EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(__uint_as_float(nan))), 0x7FFF);
  }
  EXPECT_EQ(__half_as_ushort(__float2half_rn(65519.996f)), 0x7BFF);
  EXPECT_EQ(__half_as_ushort(__float2half_rn(65520.0f)), 0x7C00);
  EXPECT_EQ(__half_as_ushort(__float2half_rn(-std::ldexp(1.0f, -25))), 0x8000);
  EXPECT_EQ(__half_as_ushort(__float2half_rn(std::nextafterf(std::ldexp(1.0f, -25), 1.0f))), 0x0001);
  EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(__uint_as_float(0x3F808000u))), 0x3F80) << "ties round to even";
  EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(__uint_as_float(0x3F818000u))), 0x3F82);
}

TEST_F(Arithmetic, E4m3RoundsToNearestEvenAndSaturates) {
  const auto code = [](float x) { return static_cast<int>(__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3)); };
  const struct {
    float value;
    int code;
  } kKnown[] = {{1.0f, 0x38},     {-1.0f, 0xB8},  {224.0f, 0x76},    {240.0f, 0x77},     {256.0f, 0x78},
                {448.0f, 0x7E},   {464.0f, 0x7E}, {kInfinity, 0x7E}, {0x1p-6f, 0x08},    {0x1p-9f, 0x01},
                {0x1p-10f, 0x00}, {-1e-9f, 0x80}, {-0.0f, 0x80},     {-kInfinity, 0xFE}, {0.0f, 0x00}};
  for (const auto& known : kKnown) EXPECT_EQ(code(known.value), known.code) << known.value;
  EXPECT_EQ(code(std::nextafterf(0x1p-10f, 1.0f)), 0x01);
  EXPECT_EQ(code(std::nanf("")) & 0x7F, 0x7F);
  for (int c = 0; c < 256; ++c) {  // encoding reverses decoding, and every midpoint goes to the even code
    if ((c & 0x7F) == 0x7F) continue;
    const auto value = [](int code) {
      __nv_fp8_e4m3 x;
      x.__x = static_cast<__nv_fp8_storage_t>(code);
      return static_cast<float>(x);
    };
    EXPECT_EQ(code(value(c)), c);
    if ((c & 0x7F) == 0x7E) continue;
    const float middle = (value(c) + value(c + 1)) / 2;
    EXPECT_EQ(code(middle), c % 2 == 0 ? c : c + 1) << "between codes " << c << " and " << c + 1;
  }
}

TEST_F(Arithmetic, PackedMinimumDropsNaN) {
  const auto pair = [](unsigned short x) { return __nv_bfloat162{__ushort_as_bfloat16(x), __ushort_as_bfloat16(x)}; };
  for (const unsigned short nan : {0x7FC0, 0xFF81, 0x7F81, 0xFFFF}) {
    EXPECT_EQ(__bfloat16_as_ushort(__hmin2(pair(nan), pair(0x40E0)).x), 0x40E0);
    EXPECT_EQ(__bfloat16_as_ushort(__hmax2(pair(nan), pair(0xC0E0)).y), 0xC0E0);
    EXPECT_EQ(__bfloat16_as_ushort(__hmin2(pair(0x40E0), pair(nan)).x), 0x40E0);
  }
  EXPECT_EQ(__bfloat16_as_ushort(__hmax2(pair(0x8000), pair(0x0000)).x), 0x0000);
}

}  // namespace
}  // namespace simt_test
