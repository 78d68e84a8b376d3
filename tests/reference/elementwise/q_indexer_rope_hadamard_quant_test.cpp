#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "harness/core/dtype.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/indexer_queries.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr const char* kOp = "q_indexer_rope_hadamard_quant";
const float kRoot = float_from_bits(0x3db504f3);        // the float nearest to 1 / sqrt(128)
const float kLeastScale = float_from_bits(0x346facad);  // 1e-4 / 448

struct Fp8Queries : IndexerInputs {
  HostTensor codes;
  explicit Fp8Queries(std::int64_t tokens = 1, std::int64_t heads = 1)
      : IndexerInputs(tokens, heads), codes(HostTensor::make(DType::kE4M3, {tokens, heads, 128})) {}

  std::vector<Given> arguments() { return {&queries, &codes, &weight, &weights_out, scale, &freqs, &positions}; }
  Fp8Queries& call() {
    call_reference(kOp, "forward", arguments());
    return *this;
  }
  [[nodiscard]] std::vector<int> result() const { return {codes.storage.begin(), codes.storage.begin() + 128}; }
  [[nodiscard]] float new_weight() const { return weights_out.get<float>(0); }
};

TEST(QIndexerQuantReference, AZeroRowHasTheLeastScale) {
  Fp8Queries q;
  EXPECT_THAT(q.call().result(), Each(0));
  EXPECT_EQ(q.new_weight(), kLeastScale);
  q.scale = 0.1;
  set_float(q.weight, 0, -3.0);
  EXPECT_EQ(q.call().new_weight(), (-3.0f * 0.1f) * kLeastScale);
}

TEST(QIndexerQuantReference, OneElementGivesARowOfTheMatrix) {
  for (const unsigned j : {0u, 1u, 63u, 90u}) {
    Fp8Queries q;
    q.set({{j, 3.0f}});
    const std::vector<int> codes = q.call().result();
    for (unsigned i = 0; i < 128; ++i) EXPECT_EQ(codes[i], std::popcount(i & j) % 2 == 0 ? 0x7e : 0xfe) << i;
    EXPECT_EQ(q.new_weight(), (3.0f * kRoot) / 448.0f);
  }
}

TEST(QIndexerQuantReference, TheGreatestMagnitudeBecomes448) {
  // The signs of the elements 0, 1, 2 and 3 in row i are 1, s, t and s t, with s = -1 for odd i, and t = -1 if bit 1 of
  // i is set. So the sums are 448 for even i, and 1 or -1 for odd i.
  Fp8Queries q;
  q.set({{0, 224.0f}, {1, 224.0f}, {2, 0.5f}, {3, -0.5f}});
  const std::vector<int> codes = q.call().result();
  for (std::size_t i = 0; i < 128; i += 4)
    EXPECT_THAT(std::vector<int>(codes.begin() + static_cast<int>(i), codes.begin() + static_cast<int>(i) + 4),
                ::testing::ElementsAre(0x7e, 0x38, 0x7e, 0xb8));
}

TEST(QIndexerQuantReference, RotatesTheLastElements) {
  // (3 + 4i) (0.5 + 2i) = -6.5 + 8i. Row 0 of the matrix has the sum 1.5, and row 1 (where element 127 is negative)
  // -14.5. 1.5 / 14.5 * 448 is 46.3, which is nearest to 48, code 0x64.
  Fp8Queries q;
  q.set({{126, 3.0f}, {127, 4.0f}});
  q.set_angle(31, 0.5f, 2.0f);
  q.set_position(1);
  std::vector<int> codes = q.call().result();
  EXPECT_EQ(codes[0], 0x64);
  EXPECT_EQ(codes[1], 0xfe);
  EXPECT_EQ(q.new_weight(), (14.5f * kRoot) / 448.0f);
  // At position 2 the pair stays (3, 4): the sums are 7 and -1, and 448 / 7 = 64 has the code 0x68.
  q.set_position(2);
  codes = q.call().result();
  EXPECT_EQ(codes[0], 0x7e);
  EXPECT_EQ(codes[1], 0xe8);
}

TEST(QIndexerQuantReference, RoundsNothingToBfloat16) {
  const float c = 1.0f + 0x1p-20f;
  Fp8Queries q;
  q.set({{64, 1.0f}});
  q.set_angle(0, c, 0.0f);
  q.set_position(1);
  EXPECT_EQ(q.call().new_weight(), (c * kRoot) / 448.0f);
}

TEST(QIndexerQuantReference, APositionOutsideTheTableDoesNotRotate) {
  Fp8Queries q;
  q.freqs.at<float>(0, 0) = 7.0f;
  for (const std::int64_t position : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 32}) {
    q.set({{64, 1.0f}});
    q.set_position(position);
    EXPECT_EQ(q.call().new_weight(), kRoot / 448.0f);
  }
}

TEST(QIndexerQuantReference, HandlesSpecialValues) {
  Fp8Queries q;
  q.set({{5, std::nanf("")}, {6, 1.0f}});
  EXPECT_THAT(q.call().result(), Each(0x7e));
  EXPECT_EQ(q.new_weight(), kLeastScale);
  // An infinity has an infinite scale, whose reciprocal is 0. 0 times infinity is NaN.
  q.set({{5, -kInf}, {6, 1.0f}});
  EXPECT_THAT(q.call().result(), Each(0x7e));
  EXPECT_EQ(q.new_weight(), kInf);
  set_float(q.weight, 0, 0.0);
  EXPECT_TRUE(std::isnan(q.call().new_weight()));
  // A rotated infinity times the 0 of position 0 is NaN.
  set_float(q.weight, 0, 1.0);
  q.set({{64, kInf}});
  EXPECT_THAT(q.call().result(), Each(0x7e));
  EXPECT_EQ(q.new_weight(), kLeastScale);
  // Sums that are too large for a float are infinite, and their differences NaN or 0.
  q.set({{0, 0x1p127f}, {1, 0x1p127f}, {2, 0x1p127f}});
  q.call();
  EXPECT_EQ(q.result()[1], 0x00);
  EXPECT_EQ(q.result()[0], 0x7e);
  EXPECT_EQ(q.new_weight(), kInf);
}

TEST(QIndexerQuantInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  Fp8Queries q(12, 3);
  q.set_random();
  q.scale = 0.0110485435;
  q.call();
  HostTensor low = q.codes, high = q.codes, low_weights = q.weights_out, high_weights = q.weights_out;
  std::vector<Given> arguments = q.arguments();
  for (HostTensor* end : {&low, &high, &low_weights, &high_weights}) arguments.emplace_back(end);
  call_reference(kOp, "forward_interval", arguments);
  const auto key = [](const HostTensor& t, std::int64_t i) { return *order_key(t.dtype, t.element(i)); };
  Random random(2, "fused");
  std::int64_t open = 0;
  for (std::int64_t row = 0; row < 36; ++row) {
    for (int times = 0; times < 6; ++times) {
      // The first three choose the same product everywhere, as a compiler does.
      const auto fused = [&] { return times < 3 ? times : static_cast<int>(random.below(3)); };
      const std::vector<float> y = transformed_query(rotated_query(q, row / 3, row % 3, fused));
      float greatest = 1e-4f;
      for (const float value : y) greatest = std::max(greatest, std::fabs(value));
      const float scale = greatest / 448.0f;
      HostTensor other = HostTensor::make(DType::kE4M3, {128}), weight = HostTensor::make(DType::kF32, {1});
      for (std::int64_t d = 0; d < 128; ++d) {
        const float scaled = y[static_cast<std::size_t>(d)] * (1.0f / scale);
        other.set<std::uint8_t>(d, e4m3_from_double(scaled));
        EXPECT_LE(key(low, row * 128 + d), key(other, d)) << row << ' ' << d;
        EXPECT_GE(key(high, row * 128 + d), key(other, d)) << row << ' ' << d;
      }
      weight.set<float>(0, float_from_bf16(q.weight.get<std::uint16_t>(row)) * 0.0110485435f * scale);
      EXPECT_LE(key(low_weights, row), key(weight, 0));
      EXPECT_GE(key(high_weights, row), key(weight, 0));
    }
    for (std::int64_t d = 0; d < 128; ++d) open += key(low, row * 128 + d) != key(high, row * 128 + d) ? 1 : 0;
  }
  EXPECT_LE(open, 5);
}

TEST(QIndexerQuantReference, RefusesWrongArguments) {
  const auto expect = [](const std::string& argument, auto change) {
    Fp8Queries q(2, 3);
    change(q);
    EXPECT_THAT(refusal(kOp, "forward", q.arguments()), HasSubstr("argument '" + argument + "'"));
  };
  expect("q_input", [](Fp8Queries& q) { q.queries = HostTensor::make(DType::kBF16, {2, 3, 64}); });
  expect("q_input", [](Fp8Queries& q) {
    q.queries = HostTensor::strided(DType::kBF16, {2, 3, 128}, {512, 128, 1}, 0, 1024);
  });
  expect("q_fp8", [](Fp8Queries& q) { q.codes = HostTensor::make(DType::kE4M3, {2, 3, 64}); });
  expect("q_fp8", [](Fp8Queries& q) { q.codes = HostTensor::make(DType::kU8, {2, 3, 128}); });
  expect("weight", [](Fp8Queries& q) { q.weight = HostTensor::make(DType::kF32, {2, 3}); });
  expect("weight", [](Fp8Queries& q) { q.weight = HostTensor::make(DType::kBF16, {2, 4}); });
  expect("weights_out", [](Fp8Queries& q) { q.weights_out = HostTensor::make(DType::kF32, {2, 3, 2}); });
  expect("freqs_cis", [](Fp8Queries& q) { q.freqs = HostTensor::make(DType::kF32, {3, 32}); });
  expect("positions", [](Fp8Queries& q) { q.positions = HostTensor::make(DType::kI32, {3}); });
}

}  // namespace
}  // namespace dsv4::testing
