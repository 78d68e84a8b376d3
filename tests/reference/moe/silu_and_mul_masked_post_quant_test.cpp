#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/moe/fast_math.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr const char* kOp = "silu_and_mul_masked_post_quant";
constexpr float kInf = std::numeric_limits<float>::infinity();

/// The arguments of a call. The columns are not swizzled: first all gates, then all ups (the second factors). Outputs
/// are poisoned, because a call may leave parts of them unwritten.
struct Silu {
  HostTensor input, output, scale, counts;
  std::string variant;
  std::int64_t topk = 8;
  bool transposed = false;
  double limit = 10.0;

  Silu(std::string name, std::int64_t experts, std::int64_t tokens, std::int64_t dim, bool transpose = false)
      : input(HostTensor::make(DType::kBF16, {experts, tokens, 2 * dim})),
        output(HostTensor::make(DType::kE4M3, {experts, tokens, dim})),
        scale(transpose ? HostTensor::make(DType::kI32, {experts, dim / 512, tokens})
                        : HostTensor::make(DType::kF32, {experts, tokens, dim / 128})),
        counts(HostTensor::make(DType::kI32, {experts})),
        variant(std::move(name)),
        transposed(transpose) {
    poison(output, 1);
    poison(scale, 1);
    for (std::int64_t e = 0; e < experts; ++e) counts.at<std::int32_t>(e) = static_cast<std::int32_t>(tokens);
  }

  void set(std::int64_t j, float gate, float up) { set_row(0, 0, j, gate, up); }
  void set_row(std::int64_t e, std::int64_t t, std::int64_t j, float gate, float up) {
    input.at<std::uint16_t>(e, t, j) = bf16_from_float(gate);
    input.at<std::uint16_t>(e, t, input.size(2) / 2 + j) = bf16_from_float(up);
  }
  void call() { call_reference(kOp, "run_" + variant, {&input, &output, &scale, &counts, topk, transposed, limit}); }
  [[nodiscard]] int code(std::int64_t j) const { return output.at<std::uint8_t>(0, 0, j); }
  [[nodiscard]] float scale_of(std::int64_t g) const { return scale.at<float>(0, 0, g); }
};

TEST(SiluReference, ZeroGroupsHaveTheSmallestScale) {
  Silu bytes("ue8m0", 1, 1, 256);
  bytes.call();
  EXPECT_EQ(bytes.scale_of(0), std::ldexp(1.0f, 85 - 127));
  EXPECT_EQ(bytes.code(0), 0x00);
  Silu floats("float", 1, 1, 256);
  floats.call();
  EXPECT_NEAR(floats.scale_of(1), 2.2321430e-13, 1e-19);
}

TEST(SiluReference, KnownAnswers) {
  Silu s("ue8m0", 1, 1, 256);
  s.set(0, 64.0f, 7.0f);   // the product is 448, so the scale is 1
  s.set(1, 20.0f, -2.0f);  // the product is -40, because silu(20) = 20 - 4e-8
  s.set(2, 1.0f, 1.0f);    // the product is 0.7310586; its code is that of 0.75
  s.set(3, -1.0f, 16.0f);  // the product is -4.3030; its code is that of -4.5
  s.set(4, -0.0f, 3.0f);   // the product is -0
  s.call();
  EXPECT_EQ(s.scale_of(0), 1.0f);
  EXPECT_EQ(s.code(0), 0x7e);
  EXPECT_EQ(s.code(1), 0xe2);
  EXPECT_EQ(s.code(2), 0x34);
  EXPECT_EQ(s.code(3), 0xc9);
  EXPECT_EQ(s.code(4), 0x80);
  EXPECT_EQ(s.scale_of(1), std::ldexp(1.0f, -42));  // all products of the second group are zero
}

TEST(SiluReference, FloatScalesMapTheGreatestMagnitudeTo448) {
  Silu s("float", 1, 1, 256);
  s.set(0, 20.0f, 5.0f);
  s.set(1, 20.0f, -2.5f);
  s.call();
  EXPECT_EQ(s.scale_of(0), 100.0f / 448.0f);
  EXPECT_EQ(s.code(0), 0x7e);
  EXPECT_EQ(s.code(1), 0xf6);
}

TEST(SiluReference, ClampsInBfloat16AndTheGateFromAboveOnly) {
  for (const double limit : {10.0, 7.03}) {
    Silu s("float_clamp", 1, 1, 256);
    s.limit = limit;
    const float rounded = float_from_bf16(bf16_from_float(static_cast<float>(limit)));
    const double silu = rounded / (1.0 + std::exp(-static_cast<double>(rounded)));
    s.set(0, 100.0f, 100.0f);  // the greatest value: gate and up are both cut to the limit
    s.set(1, -100.0f, 100.0f);
    s.set(2, std::nanf(""), std::nanf(""));  // NaN becomes limit as a gate, and -limit as an up
    s.set(3, 5.0f, -100.0f);
    s.call();
    EXPECT_FLOAT_EQ(s.scale_of(0), static_cast<float>(silu * rounded / 448.0));
    EXPECT_EQ(s.code(0), 0x7e);
    EXPECT_EQ(s.code(1), 0x80);
    EXPECT_EQ(s.code(2), 0xfe);
    EXPECT_LT(double_from_e4m3(static_cast<std::uint8_t>(s.code(3))), -200.0 * 5.0 / limit);
  }
}

TEST(SiluTmpReference, ClampsInFloatAndTheUpFirstFromAbove) {
  Silu s("float_clamp_tmp", 1, 1, 256);
  s.limit = 7.03;  // the nearest bfloat16 is 7.03125
  const auto limit = static_cast<float>(s.limit);
  const double silu = limit / (1.0 + std::exp(-static_cast<double>(limit)));
  s.set(0, 100.0f, 100.0f);
  s.set(1, std::nanf(""), std::nanf(""));  // NaN becomes the limit as a gate, and as an up, too
  s.set(2, 100.0f, -100.0f);
  s.call();
  EXPECT_FLOAT_EQ(s.scale_of(0), static_cast<float>(silu * limit / 448.0));
  EXPECT_EQ(s.code(0), 0x7e);
  EXPECT_EQ(s.code(1), 0x7e);
  EXPECT_EQ(s.code(2), 0xfe);
}

TEST(SiluTmpReference, ANegativeLimitMakesEveryUpItsOpposite) {
  Silu s("float_clamp_tmp", 1, 1, 256);
  s.limit = -1.0;
  for (int j = 0; j < 256; ++j) s.set(j, 5.0f, static_cast<float>(j - 128));
  s.call();
  EXPECT_FLOAT_EQ(s.scale_of(0), 0.26894143f / 448.0f);  // |silu(-1)| * 1
  EXPECT_EQ(s.code(0), 0xfe);
  EXPECT_EQ(s.code(255), 0xfe);
}

TEST(SiluTmpReference, WithoutAClampSiluAndTheProductAreRounded) {
  Silu s("float_tmp", 1, 1, 256);
  s.set(0, 1.0f, 1.0f);    // silu is 0.7310586; bfloat16 has 0.73046875
  s.set(128, 1.0f, 3.0f);  // 2.19140625 is halfway between two bfloat16, and the even one is 2.1875
  s.call();
  EXPECT_EQ(s.scale_of(0), 0.73046875f / 448.0f);
  EXPECT_EQ(s.scale_of(1), 2.1875f / 448.0f);
  Silu nan("float_tmp", 1, 1, 256);
  nan.set(0, -kInf, 1.0f);
  nan.set(1, 2.0f, std::nanf(""));
  nan.set(2, 20.0f, 4.0f);
  nan.call();
  EXPECT_EQ(nan.scale_of(0), 80.0f / 448.0f);
  EXPECT_EQ(nan.code(0), 0x7e);
  EXPECT_EQ(nan.code(1), 0x7e);
}

/// Fast arithmetic whose errors are as large as documented must be within the intervals of both forms.
TEST(SiluTmpInterval, AdmitsTheWholeDocumentedError) {
  for (const bool limited : {false, true}) {
    Silu s(limited ? "ue8m0_clamp_tmp" : "ue8m0_tmp", 1, 8, 256);
    s.limit = 7.03;
    const auto limit = static_cast<float>(s.limit);
    Random random(2, "input");
    fill_floats(s.input, [&] { return 4.0f * random.gauss(); });
    s.call();
    HostTensor low = s.output, high = s.output, low_scale = s.scale, high_scale = s.scale;
    call_reference(kOp, "interval_" + s.variant,
                   {&s.input, &s.output, &s.scale, &s.counts, s.topk, s.transposed, s.limit, &low, &high, &low_scale,
                    &high_scale});
    int outside = 0, open = 0;
    for (const WorstFastMath& fast : all_directions()) {
      for (std::int64_t i = 0; i < s.output.numel(); ++i) {
        const std::int64_t at = i / 256 * 512 + i % 256;
        float g = float_from_bf16(s.input.get<std::uint16_t>(at)),
              u = float_from_bf16(s.input.get<std::uint16_t>(at + 256));
        if (limited) {
          g = std::min(g, limit);
          u = std::max(std::min(u, limit), -limit);
        }
        const auto rounded = [](float x) { return float_from_bf16(bf16_from_float(x)); };
        const float v = limited ? fast.silu_and_mul(g, u) : rounded(rounded(fast.silu_and_mul(g, 1.0f)) * u);
        const auto scale = s.scale.get<float>(i / 128);
        const int code = e4m3_from_double(static_cast<double>(v) / static_cast<double>(scale));
        const auto order = [](int c) { return (c & 0x80) != 0 ? -(c & 0x7f) : c; };
        const int least = order(low.get<std::uint8_t>(i)), most = order(high.get<std::uint8_t>(i));
        outside += order(code) < least || order(code) > most ? 1 : 0;
        open += least != most ? 1 : 0;
      }
    }
    EXPECT_EQ(outside, 0) << limited;
    EXPECT_LT(open, 5 * 8 * 256 / 50) << limited;
  }
}

/// Without a clamp, silu is rounded to bfloat16. So an error of the fast arithmetic shows only if silu is near the
/// middle of two bfloat16. Each group has one gate other than zero, so its scale shows the rounded product. The gates
/// are all bfloat16 numbers from 2^-6 to 2^4.
TEST(SiluTmpInterval, AdmitsBothNeighboursNearTheMiddleOfTwoRoundedValues) {
  constexpr std::int64_t kGates = 10 * 128, kRows = kGates / 2;
  Silu s("float_tmp", 1, kRows, 256);
  const auto gate_of = [](std::int64_t group) {
    return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(0x1p-6f) + group));
  };
  for (std::int64_t g = 0; g < kGates; ++g) s.set_row(0, g / 2, g % 2 * 128, gate_of(g), 1.0f);
  s.call();
  HostTensor low = s.output, high = s.output, low_scale = s.scale, high_scale = s.scale;
  call_reference(
      kOp, "interval_" + s.variant,
      {&s.input, &s.output, &s.scale, &s.counts, s.topk, s.transposed, s.limit, &low, &high, &low_scale, &high_scale});
  int open = 0;
  for (std::int64_t g = 0; g < kGates; ++g) {
    const auto least = low_scale.get<float>(g), most = high_scale.get<float>(g);
    open += bf16_from_float(448.0f * least) < bf16_from_float(448.0f * most) ? 1 : 0;
    for (const WorstFastMath& fast : all_directions()) {
      const float scale = float_from_bf16(bf16_from_float(fast.silu_and_mul(gate_of(g), 1.0f))) / 448.0f;
      EXPECT_TRUE(least <= scale && scale <= most) << gate_of(g) << ": " << scale << " in " << least << ".." << most;
    }
  }
  EXPECT_GT(open, 0);
  EXPECT_LT(open, kGates / 100);
}

TEST(SiluReference, ANegativeLimitMakesEveryUpTheLimit) {
  Silu s("float_clamp", 1, 1, 256);
  s.limit = -1.0;
  for (int j = 0; j < 128; ++j) s.set(j, -1.0f, static_cast<float>(j - 60));
  s.call();
  for (int j = 0; j < 128; ++j) EXPECT_EQ(s.code(j), 0x7e);  // silu(-1) * -1 = -0.269 * -1 is the maximum
}

TEST(SiluReference, HandlesSpecialValuesWithoutClamp) {
  Silu s("ue8m0", 1, 1, 256);
  s.set(0, std::nanf(""), 1.0f);
  s.set(1, 1.0f, std::nanf(""));
  s.set(2, -kInf, 1.0f);   // silu(-inf) = NaN
  s.set(3, 64.0f, 7.0f);   // this product is the maximum, so it decides the scale
  s.set(4, -88.0f, 1.0f);  // silu underflows to -0
  s.call();
  for (int j = 0; j < 4; ++j) EXPECT_EQ(s.code(j), 0x7e);
  EXPECT_EQ(s.code(4), 0x80);
  EXPECT_EQ(s.scale_of(0), 1.0f);
  for (const char* variant : {"ue8m0", "float"}) {
    Silu inf(variant, 1, 1, 256);
    inf.set(0, kInf, -1.0f);
    inf.set(1, 1.0f, kInf);
    inf.set(2, 3.0f, 3.0f);
    inf.set(3, 3.0f, -3.0f);
    inf.call();
    EXPECT_EQ(inf.scale_of(0), kInf);
    EXPECT_EQ(inf.code(0), 0x7e);
    EXPECT_EQ(inf.code(1), 0x7e);
    EXPECT_EQ(inf.code(2), 0x00);
    EXPECT_EQ(inf.code(3), 0x80);
  }
}

TEST(SiluReference, SwizzledColumnsAlternateInChunksOfEight) {
  Silu plain("ue8m0", 1, 1, 256), swizzled("ue8m0_swizzle", 1, 1, 256);
  Random random(1, "input");
  for (int j = 0; j < 256; ++j) {
    const float gate = random.gauss(), up = random.gauss();
    plain.set(j, gate, up);
    swizzled.input.at<std::uint16_t>(0, 0, 16 * (j / 8) + j % 8) = bf16_from_float(gate);
    swizzled.input.at<std::uint16_t>(0, 0, 16 * (j / 8) + 8 + j % 8) = bf16_from_float(up);
  }
  plain.call();
  swizzled.call();
  EXPECT_EQ(plain.output.storage, swizzled.output.storage);
  EXPECT_EQ(plain.scale.storage, swizzled.scale.storage);
}

TEST(SiluReference, TransposedScalesHaveTokensInnermost) {
  constexpr std::int64_t kExperts = 2, kTokens = 3, kDim = 1024;
  Silu s("ue8m0", kExperts, kTokens, kDim, true);
  for (int e = 0; e < kExperts; ++e) {
    for (int t = 0; t < kTokens; ++t) {
      for (int g = 0; g < 8; ++g) s.set_row(e, t, 128 * g, 64.0f, std::ldexp(7.0f, 20 * e + 8 * t + g));
    }
  }
  s.call();
  for (int e = 0; e < kExperts; ++e) {
    for (int t = 0; t < kTokens; ++t) {
      for (int g = 0; g < 8; ++g) {
        EXPECT_EQ(s.scale.storage[e * 8 * kTokens + (g / 4) * 4 * kTokens + 4 * t + g % 4], 127 + 20 * e + 8 * t + g);
      }
    }
  }
}

/// Makes the call. Returns the rows that it wrote, as (expert, token).
std::set<std::pair<int, int>> written(Silu& s) {
  const auto before = s.output.storage;
  fill_floats(s.input, [] { return 1.0f; });
  s.call();
  std::set<std::pair<int, int>> rows;
  const std::int64_t dim = s.output.size(2);
  for (int e = 0; e < s.output.size(0); ++e) {
    for (int t = 0; t < s.output.size(1); ++t) {
      for (std::int64_t j = 0; j < dim; ++j) {
        const auto at = static_cast<std::size_t>((e * s.output.size(1) + t) * dim + j);
        if (s.output.storage[at] != before[at]) rows.insert({e, t});
      }
    }
  }
  return rows;
}

TEST(SiluReference, ProcessesRowsBelowTheCountsUpToTheBudget) {
  using Rows = std::set<std::pair<int, int>>;
  Silu s("ue8m0", 3, 4, 256);
  s.counts = HostTensor::of<std::int32_t>(DType::kI32, {2, 0, 3});
  EXPECT_EQ(written(s), (Rows{{0, 0}, {0, 1}, {2, 0}, {2, 1}, {2, 2}}));
  Silu surplus("ue8m0", 3, 4, 256);
  surplus.counts = HostTensor::of<std::int32_t>(DType::kI32, {3, 0, 4});
  surplus.topk = 1;
  EXPECT_EQ(written(surplus), (Rows{{0, 0}, {0, 1}, {0, 2}, {2, 0}}));
  Silu none("ue8m0", 3, 4, 256);
  none.topk = 0;
  EXPECT_TRUE(written(none).empty());
}

/// Computes like upstream's kernel, in plain float code. `exponential` replaces __expf.
template <class Exponential>
float fast_silu_and_mul(float g, float u, Exponential exponential) {
  return g * (1.0f / (1.0f + exponential(-g))) * u;
}

/// `outside` is the number of codes and scales of a float implementation that are outside their intervals. `open` is
/// the number of intervals that contain more than one value.
struct Judged {
  int outside = 0;
  int open = 0;
};

/// Gates are from a normal distribution. With `deep`, all gates of a token are near one value, which falls from 16 for
/// the first token to -86 for the last one. So the group's maximum also belongs to such a gate.
template <class Compute>
Judged judge(bool powers, std::uint64_t seed, Compute compute, bool deep = false) {
  constexpr std::int64_t kTokens = 200, kDim = 256;
  Silu s(powers ? "ue8m0" : "float", 1, kTokens, kDim);
  Random random(seed, "input");
  for (int t = 0; t < kTokens; ++t) {
    const auto center = static_cast<float>(16.0 - 102.0 * t / (kTokens - 1));
    for (int j = 0; j < kDim; ++j) {
      const float gate = deep ? std::max(center + 0.5f * random.gauss(), -87.0f) : 6.0f * random.gauss();
      // A value of silu at -86 is near 2^-118. The factor 2^100 lifts it above the smallest maximum of a group.
      s.set_row(0, t, j, gate, std::ldexp(random.gauss(), deep && center < -10.0f ? 100 : 0));
    }
  }
  HostTensor code = s.output;
  for (int t = 0; t < kTokens; ++t) {
    for (int g = 0; g < kDim / 128; ++g) {
      std::vector<float> v;
      float greatest = 1e-10f;
      for (int j = 128 * g; j < 128 * (g + 1); ++j) {
        v.push_back(compute(float_from_bf16(s.input.at<std::uint16_t>(0, t, j)),
                            float_from_bf16(s.input.at<std::uint16_t>(0, t, kDim + j))));
        greatest = std::max(greatest, std::fabs(v.back()));
      }
      float scale = greatest * 0x1.24924ap-9f;
      if (powers)
        scale = std::ldexp(1.0f, static_cast<int>(std::ceil(std::log2(static_cast<double>(greatest) / 448.0))));
      s.scale.at<float>(0, t, g) = scale;
      for (int j = 0; j < 128; ++j) code.at<std::uint8_t>(0, t, 128 * g + j) = e4m3_from_double(v[j] * (1.0f / scale));
    }
  }
  HostTensor code_low = s.output, code_high = s.output, scale_low = s.scale, scale_high = s.scale;
  call_reference(
      kOp, "interval_" + s.variant,
      {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &code_low, &code_high, &scale_low, &scale_high});
  Judged judged;
  const auto count = [&](const HostTensor& got, const HostTensor& low, const HostTensor& high) {
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      const auto at = [i](const HostTensor& t) { return *order_key(t.dtype, t.element(i)); };
      judged.outside += at(got) < at(low) || at(got) > at(high) ? 1 : 0;
      judged.open += at(low) != at(high) ? 1 : 0;
    }
  };
  count(code, code_low, code_high);
  if (powers) count(s.scale, scale_low, scale_high);
  if (!powers) {
    const Judged codes_only = judged;
    count(s.scale, scale_low, scale_high);
    judged.open = codes_only.open;  // the interval of a float scale is always a few units in the last place wide
  }
  return judged;
}

TEST(SiluInterval, AdmitsTheWholeDocumentedError) {
  for (const WorstFastMath& fast : all_directions()) {
    for (const bool powers : {false, true}) {
      for (const bool deep : {false, true}) {
        const Judged judged = judge(
            powers, 5, [&](float g, float u) { return fast.silu_and_mul(g, u); }, deep);
        EXPECT_EQ(judged.outside, 0);
        EXPECT_LE(judged.open, deep ? 30 : 5);  // of 51200 intervals
      }
    }
  }
}

/// For each of the gates: the float scale of a group whose only nonzero element is silu(gate), and its interval.
struct ScaleIntervals {
  std::vector<float> gates;
  std::vector<float> low;
  std::vector<float> high;
};

/// The intervals for every bfloat16 gate from -87 to 20 of a magnitude of at least 2^-6.
ScaleIntervals scale_intervals() {
  ScaleIntervals all;
  for (std::uint32_t bits = 0x3c80; float_from_bf16(static_cast<std::uint16_t>(bits)) <= 87.0f; ++bits) {
    const float gate = float_from_bf16(static_cast<std::uint16_t>(bits));
    all.gates.push_back(-gate);
    if (gate <= 20.0f) all.gates.push_back(gate);
  }
  const auto tokens = static_cast<int>(all.gates.size());
  Silu s("float", 1, tokens, 256);
  // The factor 2^90 lifts the group's maximum above 1e-10 for every gate.
  for (int t = 0; t < tokens; ++t) s.set_row(0, t, 0, all.gates[static_cast<std::size_t>(t)], 0x1p90f);
  s.call();
  HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
  call_reference(kOp, "interval_float",
                 {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &low, &high, &scale_low, &scale_high});
  for (int t = 0; t < tokens; ++t) {
    all.low.push_back(scale_low.at<float>(0, t, 0));
    all.high.push_back(scale_high.at<float>(0, t, 0));
  }
  return all;
}

// A float scale shows the error of silu directly: no rounding to a code hides it.
TEST(SiluInterval, ScalesAdmitTheWholeDocumentedErrorOfEveryGate) {
  const ScaleIntervals all = scale_intervals();
  ASSERT_GT(all.gates.size(), 2500u);
  double most = 0.0;
  for (const WorstFastMath& fast : all_directions()) {
    for (std::size_t i = 0; i < all.gates.size(); ++i) {
      const double value = std::fabs(fast.silu_and_mul(all.gates[i], 0x1p90f));
      for (const int direction : {-1, 0, 1}) {
        const float scale = farthest(value / 448.0, 2.0, direction);
        ASSERT_GE(scale, all.low[i]) << all.gates[i];
        ASSERT_LE(scale, all.high[i]) << all.gates[i];
        const double middle = (static_cast<double>(all.low[i]) + all.high[i]) / 2.0;
        most = std::max(most, std::fabs(scale - middle) / ((static_cast<double>(all.high[i]) - all.low[i]) / 2.0));
      }
    }
  }
  EXPECT_GT(most, 0.9);  // the interval is not much wider than the errors
}

TEST(SiluInterval, ScalesRejectTwiceTheDocumentedErrorOfTheExponential) {
  const ScaleIntervals all = scale_intervals();
  int tried = 0;
  for (const int direction : {-1, 1}) {
    for (std::size_t i = 0; i < all.gates.size(); ++i) {
      if (all.gates[i] > -16.0f) continue;
      const double x = -all.gates[i];
      const double wrong = 1.0 + direction * 2.0 * 0x1p-23 * (2.0 + 1.173 * x);
      const double value = x / (1.0 + std::exp(x) * wrong) * 0x1p90;
      const float scale = farthest(value / 448.0, 2.0, 0);
      ASSERT_TRUE(scale < all.low[i] || scale > all.high[i]) << all.gates[i];
      ++tried;
    }
  }
  EXPECT_GT(tried, 500);
}

TEST(SiluInterval, RejectsTheUsualMistakes) {
  const auto exact = [](float x) { return std::exp(x); };
  const auto to_bf16 = [](float x) { return float_from_bf16(bf16_from_float(x)); };
  for (const bool powers : {false, true}) {
    // The mistakes are, in this order: silu is rounded to bfloat16 before the product, the product is rounded to
    // bfloat16, the sigmoid has a relative error of 2^-12, and max(g, 0) replaces silu.
    EXPECT_GE(
        judge(powers, 6, [&](float g, float u) { return to_bf16(fast_silu_and_mul(g, 1.0f, exact)) * u; }).outside,
        100);
    EXPECT_GE(judge(powers, 6, [&](float g, float u) { return to_bf16(fast_silu_and_mul(g, u, exact)); }).outside, 100);
    EXPECT_GE(
        judge(powers, 6, [&](float g, float u) { return fast_silu_and_mul(g, u, exact) * (1.0f + 0x1p-12f); }).outside,
        10);
    EXPECT_GE(judge(powers, 6, [&](float g, float u) { return std::max(g, 0.0f) * u; }).outside, 1000);
  }
}

TEST(SiluInterval, AdmitsZeroWhereFastMathFlushes) {
  Silu s("ue8m0", 1, 1, 256);
  s.set(0, -88.0f, std::ldexp(1.0f, 120));  // silu is -5e-37, but its product with 2^120 is not small
  s.set(1, 0x1p-130f, std::ldexp(1.0f, 126));
  s.set(2, 64.0f, 7.0f);
  s.call();
  HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
  s.scale.at<float>(0, 0, 0) = 1.0f;
  call_reference(kOp, "interval_ue8m0",
                 {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &low, &high, &scale_low, &scale_high});
  EXPECT_EQ(low.at<std::uint8_t>(0, 0, 0), 0xb3);  // the code nearest to -0.708, the result without flushing
  EXPECT_EQ(high.at<std::uint8_t>(0, 0, 0), 0x80);
  EXPECT_EQ(low.at<std::uint8_t>(0, 0, 1), 0x00);
  EXPECT_EQ(low.at<std::uint8_t>(0, 0, 2), high.at<std::uint8_t>(0, 0, 2));
}

// Where float arithmetic is exact, each interval contains one value. A tie between two codes goes to the even code, and
// a maximum of 448 * 2^k has the scale 2^k. A kernel that rounds half away from zero, or rounds a logarithm up, gives
// wrong results only for these inputs.
TEST(SiluInterval, LeavesNoChoiceWhereFloatArithmeticIsExact) {
  Silu s("ue8m0", 1, 1, 512);
  s.set(0, 64.0f, 7.0f);        // the product is 448: scale 1
  s.set(1, 17.0f, 1.0f);        // 17 is halfway between the codes of 16 and 18
  s.set(2, 19.0f, -1.0f);       // -19 is halfway between the codes of -18 and -20
  s.set(3, 16.75f, 16.0f);      // 268 is between the codes of 256 and 288, but nearer to 256
  s.set(128, 64.0f, 7.03125f);  // the next bfloat16 above 7: scale 2
  s.set(256, 64.0f, 6.96875f);  // the next bfloat16 below 7: scale 1
  s.set(384, 243.0f, 59.0f);    // 448 * 2^5 + 1: scale 2^6
  s.call();
  HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
  call_reference(kOp, "interval_ue8m0",
                 {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &low, &high, &scale_low, &scale_high});
  EXPECT_EQ(low.storage, s.output.storage);
  EXPECT_EQ(high.storage, s.output.storage);
  EXPECT_EQ(scale_low.storage, s.scale.storage);
  EXPECT_EQ(scale_high.storage, s.scale.storage);
  EXPECT_EQ(s.code(0), 0x7e);
  EXPECT_EQ(s.code(1), 0x58);
  EXPECT_EQ(s.code(2), 0xda);
  EXPECT_EQ(s.code(3), 0x78);
  const std::vector<float> scales{1.0f, 2.0f, 1.0f, 64.0f};
  for (std::size_t g = 0; g < scales.size(); ++g) EXPECT_EQ(s.scale_of(static_cast<std::int64_t>(g)), scales[g]) << g;
}

// 16.75 is the least gate for which 1 + exp(-g) is certain to round to 1, and 16.625 is the next smaller gate. For
// gates of 16.75 and more, only the arithmetic of the scale may differ, by 2^-22 in both directions.
TEST(SiluInterval, IsNarrowFromTheGateOnAtWhichSiluSaturates) {
  const auto width = [](float gate) {
    Silu s("float", 1, 1, 256);
    s.set(0, gate, 1.0f);
    s.call();
    HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
    call_reference(
        kOp, "interval_float",
        {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &low, &high, &scale_low, &scale_high});
    return (scale_high.at<float>(0, 0, 0) - scale_low.at<float>(0, 0, 0)) / s.scale_of(0);
  };
  EXPECT_GT(width(16.625f), 0x1p-20f);
  EXPECT_LE(width(16.75f), 0x1p-21f);
}

// silu(inf) is inf without any error. A group with it has the scale inf, and no other.
TEST(SiluInterval, HasOneScaleForAnInfiniteGate) {
  for (const char* variant : {"float", "ue8m0"}) {
    for (int at = 0; at < 128; ++at) {
      Silu s(variant, 1, 1, 256);
      for (int j = 0; j < 128; ++j) s.set(j, j == at ? kInf : 1.0f, at % 2 == 0 ? 1.0f : -1.0f);
      s.call();
      HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
      call_reference(
          kOp, std::string("interval_") + variant,
          {&s.input, &s.output, &s.scale, &s.counts, s.topk, false, 0.0, &low, &high, &scale_low, &scale_high});
      EXPECT_EQ(scale_low.at<float>(0, 0, 0), kInf);
      EXPECT_EQ(scale_high.at<float>(0, 0, 0), kInf);
      EXPECT_EQ(low.storage, s.output.storage);
      EXPECT_EQ(high.storage, s.output.storage);
    }
  }
}

/// A group whose maximum is gate * up, with a gate for which silu saturates. The other elements are much smaller.
struct ScaleByte {
  int low;
  int high;
};

ScaleByte byte_interval(float gate, float up) {
  Silu s("ue8m0", 1, 1, 512, true);
  for (int j = 0; j < 128; ++j) s.set(j, 1.0f, up * 0x1p-4f);
  s.set(77, gate, -up);
  s.call();
  HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
  call_reference(kOp, "interval_ue8m0",
                 {&s.input, &s.output, &s.scale, &s.counts, s.topk, true, 0.0, &low, &high, &scale_low, &scale_high});
  return {scale_low.storage[0], scale_high.storage[0]};
}

// A product of two bfloat16 values is exact in float. It may lie so close above 448 * 2^k that it rounds to 448 * 2^k
// as a bfloat16. The scale byte must then be the next one. A kernel that rounds the maximum to bfloat16 gives the wrong
// byte.
TEST(SiluInterval, HasOneScaleByteForAMaximumJustAboveTheEdge) {
  int tried = 0;
  for (int a = 128; a < 256; ++a) {
    for (int b = 128; b < 256; ++b) {
      for (const int edge : {7 << 12, 7 << 13}) {  // 448 * 2^6 and 448 * 2^7
        const int product = a * b;
        if (product <= edge || product > edge + edge / 448) continue;  // bfloat16 rounds it to the edge
        ASSERT_EQ(float_from_bf16(bf16_from_float(static_cast<float>(product))), static_cast<float>(edge));
        for (const int j : {-20, 0, 3, 30}) {
          const float gate = std::ldexp(static_cast<float>(a), -2);  // 32 ... 63.75
          const float up = std::ldexp(static_cast<float>(b), 2 + j);
          const int wrong = 127 + (edge == 7 << 12 ? 6 : 7) + j;
          const ScaleByte byte = byte_interval(gate, up);
          ASSERT_EQ(byte.low, wrong + 1) << gate << " " << up;
          ASSERT_EQ(byte.high, wrong + 1) << gate << " " << up;
          ++tried;
        }
      }
    }
  }
  EXPECT_GE(tried, 100);
  const ScaleByte known = byte_interval(40.5f, 177.0f);  // 7168.5 is just above 448 * 2^4
  EXPECT_EQ(known.low, 127 + 5);
  EXPECT_EQ(known.high, 127 + 5);
  const ScaleByte edge = byte_interval(64.0f, 112.0f);  // exactly 448 * 2^4
  EXPECT_EQ(edge.low, 127 + 4);
  EXPECT_EQ(edge.high, 127 + 4);
}

// What the table of measurements says about a / 448: the product with the float nearest to 1 / 448 has the right byte.
TEST(SiluInterval, TheProductWithTheRoundedReciprocalOf448HasTheRightByte) {
  constexpr float kReciprocal = 0x1.24924ap-9f;
  for (int k = -40; k <= 110; ++k) {
    const float edge = std::ldexp(448.0f, k);
    EXPECT_EQ(edge * kReciprocal, std::ldexp(1.0f, k));
    EXPECT_EQ(std::nextafter(edge, 0.0f) * kReciprocal, std::ldexp(1.0f, k));
    EXPECT_GT(std::nextafter(edge, kInf) * kReciprocal, std::ldexp(1.0f, k));
  }
}

TEST(SiluReference, RefusesWrongArguments) {
  const auto message = [](auto change) {
    Silu s("ue8m0", 3, 4, 512, true);
    change(s);
    return refusal(kOp, "run_" + s.variant, {&s.input, &s.output, &s.scale, &s.counts, s.topk, s.transposed, s.limit});
  };
  EXPECT_THAT(message([](Silu& s) { s.variant = "float"; }), HasSubstr("'transposed'"));
  EXPECT_THAT(message([](Silu& s) {
                s.scale = HostTensor::make(DType::kF32, {3, 4, 4});
              }),
              HasSubstr("'output_scale': expected int32, got float32"));
  EXPECT_THAT(message([](Silu& s) { s.output = HostTensor::make(DType::kE4M3, {3, 4, 256}); }), HasSubstr("'output'"));
  EXPECT_THAT(message([](Silu& s) { s = Silu("ue8m0", 1, 1, 320); }),
              HasSubstr("'output': expected a multiple of 128"));
}

}  // namespace
}  // namespace dsv4::testing
