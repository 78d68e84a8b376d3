#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/moe/fast_math.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr const char* kOp = "silu_and_mul_clamp";
constexpr float kInf = std::numeric_limits<float>::infinity();

/// The arguments of a call.
struct Clamp {
  HostTensor input, output;
  double limit = 10.0;

  Clamp(std::int64_t rows, std::int64_t dim)
      : input(HostTensor::make(DType::kBF16, {rows, 2 * dim})), output(HostTensor::make(DType::kBF16, {rows, dim})) {
    poison(output, 1);
  }
  void set(std::int64_t r, std::int64_t j, float gate, float up) {
    input.at<std::uint16_t>(r, j) = bf16_from_float(gate);
    input.at<std::uint16_t>(r, output.size(1) + j) = bf16_from_float(up);
  }
  void call() { call_reference(kOp, "run", {&input, &output, limit}); }
  [[nodiscard]] float value(std::int64_t r, std::int64_t j) const {
    return float_from_bf16(output.at<std::uint16_t>(r, j));
  }
};

TEST(SiluClampReference, KnownAnswers) {
  Clamp c(2, 8);
  c.limit = 1e30;
  c.set(0, 0, 64.0f, 7.0f);
  c.set(0, 1, 1.0f, 1.0f);    // 0.7310586
  c.set(0, 2, -1.0f, 16.0f);  // -4.3030
  c.set(0, 3, -0.0f, 3.0f);
  c.set(0, 7, 20.0f, -2.0f);
  c.set(1, 0, 17.0f, 3.0f);  // the second row begins after 16 input columns
  c.call();
  EXPECT_EQ(c.value(0, 0), 448.0f);
  EXPECT_EQ(c.value(0, 1), 0.73046875f);
  EXPECT_EQ(c.value(0, 2), -4.3125f);
  EXPECT_EQ(c.output.at<std::uint16_t>(0, 3), 0x8000);
  EXPECT_EQ(c.value(0, 4), 0.0f);
  EXPECT_EQ(c.value(0, 7), -40.0f);
  EXPECT_EQ(c.value(1, 0), 51.0f);
}

TEST(SiluClampReference, ClampsInBfloat16AndTheGateFromAboveOnly) {
  for (const double limit : {10.0, 7.03, 0.1}) {
    Clamp c(1, 8);
    c.limit = limit;
    const float rounded = float_from_bf16(bf16_from_float(static_cast<float>(limit)));
    const auto nearest = [](double x) { return float_from_bf16(bf16_from_float(static_cast<float>(x))); };
    const auto silu = [](double g) { return g / (1.0 + std::exp(-g)); };
    const double top = silu(rounded) * rounded;
    c.set(0, 0, 100.0f, 100.0f);
    c.set(0, 1, kInf, -kInf);
    c.set(0, 2, std::nanf(""), 100.0f);  // a NaN gate becomes the limit
    c.set(0, 3, 100.0f, std::nanf(""));  // a NaN up becomes -limit
    c.set(0, 4, -12.0f, 100.0f);         // the gate has no limit below
    c.set(0, 5, -kInf, 1.0f);            // silu(-inf) is NaN
    c.call();
    EXPECT_EQ(c.value(0, 0), nearest(top));
    EXPECT_EQ(c.value(0, 1), nearest(-top));
    EXPECT_EQ(c.value(0, 2), nearest(top));
    EXPECT_EQ(c.value(0, 3), nearest(-top));
    EXPECT_EQ(c.value(0, 4), nearest(silu(-12.0) * rounded));
    EXPECT_EQ(c.output.at<std::uint16_t>(0, 5), 0x7fff);
  }
}

TEST(SiluClampReference, ANegativeLimitMakesEveryUpTheLimit) {
  Clamp c(1, 64);
  c.limit = -1.0;
  for (int j = 0; j < 64; ++j) c.set(0, j, -1.0f, static_cast<float>(j - 30));
  c.call();
  for (int j = 0; j < 64; ++j) EXPECT_EQ(c.value(0, j), 0.26953125f);  // silu(-1) * -1
}

/// All gates from -87 to 80 with random ups. `outside` counts the results of `compute` outside their intervals, and
/// `open` the intervals with two values.
struct Counts {
  int outside = 0;
  int open = 0;
  int all = 0;
};

template <class Compute>
Counts count(Compute compute) {
  std::vector<float> gates;
  for (std::uint32_t bits = 0x3c80; float_from_bf16(static_cast<std::uint16_t>(bits)) <= 87.0f; ++bits) {
    const float gate = float_from_bf16(static_cast<std::uint16_t>(bits));
    gates.push_back(-gate);
    if (gate <= 80.0f) gates.push_back(gate);
  }
  constexpr std::int64_t kDim = 64;
  Clamp c(static_cast<std::int64_t>(gates.size()), kDim);
  c.limit = 1e30;
  Random random(3, "input");
  for (std::size_t r = 0; r < gates.size(); ++r) {
    for (std::int64_t j = 0; j < kDim; ++j) c.set(static_cast<std::int64_t>(r), j, gates[r], random.gauss());
  }
  HostTensor low = c.output, high = c.output;
  call_reference(kOp, "interval", {&c.input, &c.output, c.limit, &low, &high});
  Counts counts;
  for (std::int64_t i = 0; i < low.numel(); ++i) {
    const std::int64_t row = i / kDim * 2 * kDim + i % kDim;
    const float up = float_from_bf16(c.input.get<std::uint16_t>(row + kDim));
    const std::uint16_t got = bf16_from_float(compute(gates[static_cast<std::size_t>(i / kDim)], up));
    const auto key = order_key(DType::kBF16, &got);
    const auto least = order_key(DType::kBF16, low.element(i)), most = order_key(DType::kBF16, high.element(i));
    counts.outside += *key < *least || *key > *most ? 1 : 0;
    counts.open += *least != *most ? 1 : 0;
    ++counts.all;
  }
  return counts;
}

TEST(SiluClampInterval, AdmitsTheWholeDocumentedErrorAndIsNearlyAlwaysOneValue) {
  for (const WorstFastMath& fast : all_directions()) {
    const Counts counts = count([&](float g, float u) { return fast.silu_and_mul(g, u); });
    EXPECT_EQ(counts.outside, 0);
    EXPECT_GT(counts.open, 0);
    EXPECT_LT(counts.open, counts.all / 1000);
  }
}

TEST(SiluClampInterval, RejectsTheUsualMistakes) {
  const auto to_bf16 = [](float x) { return float_from_bf16(bf16_from_float(x)); };
  const auto silu = [](float g) { return g / (1.0f + std::exp(-g)); };
  const int all = count([](float, float) { return 0.0f; }).all;
  EXPECT_GT(count([&](float g, float u) { return to_bf16(silu(g)) * u; }).outside, all / 10);
  EXPECT_GT(count([&](float g, float u) { return silu(g) * u * (1.0f + 0x1p-12f); }).outside, all / 100);
  EXPECT_GT(count([&](float g, float u) { return g * silu(u); }).outside, all / 2);
}

TEST(SiluClampInterval, AdmitsZeroWhereFastMathFlushes) {
  Clamp c(1, 8);
  c.limit = 1e30;
  c.set(0, 0, -88.0f, 0x1p90f);  // silu is -5e-37, but its product is not small
  c.set(0, 1, -kInf, 1.0f);
  c.set(0, 2, -0x1p-70f, 0x1p-60f);  // silu is -2^-71, and its product is -2^-131, which is subnormal
  HostTensor low = c.output, high = c.output;
  call_reference(kOp, "interval", {&c.input, &c.output, c.limit, &low, &high});
  EXPECT_LT(float_from_bf16(low.at<std::uint16_t>(0, 0)), -1e-10f);
  EXPECT_EQ(high.at<std::uint16_t>(0, 0), 0x8000);
  EXPECT_EQ(low.at<std::uint16_t>(0, 1), 0x7fff);
  EXPECT_EQ(high.at<std::uint16_t>(0, 1), 0x7fff);
  EXPECT_EQ(low.at<std::uint16_t>(0, 2), 0x8004);
  EXPECT_EQ(high.at<std::uint16_t>(0, 2), 0x8000);
}

TEST(SiluClampReference, RefusesWrongArguments) {
  const auto message = [](Clamp c) { return refusal(kOp, "run", {&c.input, &c.output, c.limit}); };
  EXPECT_THAT(message(Clamp(2, 12)), HasSubstr("'output': expected a multiple of 8 columns, got 12"));
  Clamp narrow(2, 16);
  narrow.output = HostTensor::make(DType::kBF16, {2, 8});
  EXPECT_THAT(message(narrow), HasSubstr("'input': expected 16 columns, two for each column of 'output', got 32"));
  Clamp rows(2, 16);
  rows.output = HostTensor::make(DType::kBF16, {3, 16});
  EXPECT_THAT(message(rows), HasSubstr("'input': expected size 3 in dimension 0"));
}

}  // namespace
}  // namespace dsv4::testing
