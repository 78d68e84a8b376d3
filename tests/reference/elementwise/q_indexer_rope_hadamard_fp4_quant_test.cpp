#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/indexer_queries.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr const char* kOp = "q_indexer_rope_hadamard_fp4_quant";

struct Fp4Queries : IndexerInputs {
  HostTensor codes, scales;
  explicit Fp4Queries(std::int64_t tokens = 1, std::int64_t heads = 1)
      : IndexerInputs(tokens, heads),
        codes(HostTensor::make(DType::kI8, {tokens, heads, 64})),
        scales(HostTensor::make(DType::kI32, {tokens, heads})) {}

  std::vector<Given> arguments() {
    return {&queries, &codes, &scales, &weight, &weights_out, scale, &freqs, &positions};
  }
  Fp4Queries& call() {
    call_reference(kOp, "forward", arguments());
    return *this;
  }
  /// Bytes of the first head: two codes in each.
  [[nodiscard]] std::vector<int> bytes() const { return {codes.storage.begin(), codes.storage.begin() + 64}; }
  [[nodiscard]] unsigned word() const { return static_cast<unsigned>(scales.get<std::int32_t>(0)); }
  [[nodiscard]] float new_weight() const { return weights_out.get<float>(0); }
};

TEST(QIndexerFp4QuantReference, AZeroRowHasTheLeastScale) {
  Fp4Queries q;
  q.scale = 0.1;
  set_float(q.weight, 0, -3.0);
  EXPECT_THAT(q.call().bytes(), Each(0));
  EXPECT_EQ(q.word(), 0x70707070u);  // 2^-15
  EXPECT_EQ(q.new_weight(), -3.0f * 0.1f);
}

TEST(QIndexerFp4QuantReference, OneElementGivesARowOfTheMatrix) {
  // 68 / sqrt(128) is 6.0104, and the nearest bfloat16 is 6. So the scales are 1.
  Fp4Queries q;
  q.set({{0, 68.0f}});
  EXPECT_THAT(q.call().bytes(), Each(0x77));
  EXPECT_EQ(q.word(), 0x7f7f7f7fu);
  q.set({{0, -68.0f}});
  EXPECT_THAT(q.call().bytes(), Each(0xff));
  q.set({{1, 68.0f}});  // elements with odd numbers are negative; they are in the high halves
  EXPECT_THAT(q.call().bytes(), Each(0xf7));
  for (const unsigned j : {2u, 32u, 63u, 90u}) {
    q.set({{j, 68.0f}});
    const std::vector<int> bytes = q.call().bytes();
    for (unsigned i = 0; i < 128; ++i)
      EXPECT_EQ(bytes[i / 2] >> (4 * (i % 2)) & 15, std::popcount(i & j) % 2 == 0 ? 7 : 15) << i << ' ' << j;
  }
}

TEST(QIndexerFp4QuantReference, AMaximumJustAbove6HasTheNextScale) {
  // 68.5 / sqrt(128) is 6.0546, which is rounded to 6.0625. With scale 2, 3.03 is nearest to 3, code 5.
  Fp4Queries q;
  q.set({{0, 68.5f}});
  EXPECT_THAT(q.call().bytes(), Each(0x55));
  EXPECT_EQ(q.word(), 0x80808080u);
}

TEST(QIndexerFp4QuantReference, EachGroupHasAScale) {
  // The sums are 68 if element 32 is positive, and else 0: groups 0 and 2, which bit 5 of the element's number tells.
  Fp4Queries q;
  q.set({{0, 34.0f}, {32, 34.0f}});
  EXPECT_EQ(q.call().word(), 0x707f707fu);
  // With element 64, groups 0 and 1. At position 0 it is not rotated.
  q.set({{0, 34.0f}, {64, 34.0f}});
  EXPECT_EQ(q.call().word(), 0x70707f7fu);
  EXPECT_EQ(q.bytes()[31], 0x77);
  EXPECT_EQ(q.bytes()[32], 0x00);
}

TEST(QIndexerFp4QuantReference, MidpointsGoTowardsZero) {
  // As in the test of the E4M3 codes: 68 for even rows, 8.5 and -8.5 for odd ones. 8.5 / sqrt(128) is 0.7513, which is
  // rounded to 0.75, halfway between 0.5 and 1.
  Fp4Queries q;
  q.set({{0, 34.0f}, {1, 34.0f}, {2, 4.25f}, {3, -4.25f}});
  std::vector<int> bytes = q.call().bytes();
  EXPECT_THAT(std::vector<int>(bytes.begin(), bytes.begin() + 2), ElementsAre(0x17, 0x97));
  // 8.625 / sqrt(128) is 0.7623. So the code is that of 1.
  q.set({{0, 34.0f}, {1, 34.0f}, {2, 4.3125f}, {3, -4.3125f}});
  bytes = q.call().bytes();
  EXPECT_THAT(std::vector<int>(bytes.begin(), bytes.begin() + 2), ElementsAre(0x27, 0xa7));
  // 2.75 / sqrt(128) is 0.243, and zero has no sign.
  q.set({{0, 34.0f}, {1, 34.0f}, {2, 1.375f}, {3, -1.375f}});
  bytes = q.call().bytes();
  EXPECT_THAT(std::vector<int>(bytes.begin(), bytes.begin() + 2), ElementsAre(0x07, 0x07));
}

TEST(QIndexerFp4QuantReference, RoundsRotatedElementsBeforeTheTransform) {
  // Element 64 is multiplied by 1.00586, which is rounded to 1.0078. So the sums are 0.0078 in groups 0 and 1, and
  // 0.0078 / sqrt(128) * 2^13 is 5.66, code 7. Without the rounding it would be 4.24, code 6.
  Fp4Queries q;
  q.set({{0, -1.0f}, {64, 1.0f}});
  q.set_angle(0, 1.005859375f, 0.0f);
  q.set_position(1);
  EXPECT_EQ(q.call().word() & 0xffu, 114u);
  EXPECT_EQ(q.bytes()[0], 0x77);
  q.set_position(3);  // outside the table
  EXPECT_EQ(q.call().word() & 0xffffu, 0x7070u);
}

TEST(QIndexerFp4QuantReference, HandlesSpecialValues) {
  Fp4Queries q;
  q.set({{5, std::nanf("")}, {6, 1.0f}});
  EXPECT_THAT(q.call().bytes(), Each(0x77));
  EXPECT_EQ(q.word(), 0x70707070u);
  // An infinity has byte 255, whose inverse is minus infinity.
  q.set({{1, kInf}, {6, 1.0f}});
  EXPECT_THAT(q.call().bytes(), Each(0x7f));
  EXPECT_EQ(q.word(), 0xffffffffu);
  // A rotated infinity times the 0 of position 0 is NaN.
  q.set({{64, kInf}});
  EXPECT_THAT(q.call().bytes(), Each(0x77));
  EXPECT_EQ(q.word(), 0x70707070u);
}

TEST(QIndexerFp4QuantInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  constexpr std::array kValues{0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const auto value = [&](const HostTensor& t, std::int64_t element) {
    const unsigned byte = t.storage[static_cast<std::size_t>(element / 2)];
    const unsigned code = byte >> (4 * (element % 2)) & 15u;
    return code < 8 ? kValues.at(code) : -kValues.at(code - 8);
  };
  Fp4Queries q(12, 3);
  q.set_random();
  q.call();
  const HostTensor right = q.scales;
  Random random(2, "fused");
  std::int64_t open = 0;
  for (int times = 0; times < 6; ++times) {
    // The first three choose the same product everywhere, as a compiler does.
    const auto fused = [&] { return times < 3 ? times : static_cast<int>(random.below(3)); };
    std::vector<std::vector<float>> rows;
    for (std::int64_t row = 0; row < 36; ++row) {
      std::vector<float> x = rotated_query(q, row / 3, row % 3, fused);
      for (std::size_t d = 64; d < 128; ++d) x[d] = float_from_bf16(bf16_from_float(x[d]));
      std::vector<float> y = transformed_query(x);
      for (float& element : y) element = float_from_bf16(bf16_from_float(element));
      rows.push_back(y);
      unsigned word = 0;
      for (std::size_t g = 0; g < 4; ++g) {
        float greatest = 1e-4f;
        for (std::size_t d = 32 * g; d < 32 * g + 32; ++d) greatest = std::max(greatest, std::fabs(y[d]));
        word |= static_cast<unsigned>(std::ceil(std::log2(greatest / 6.0)) + 127) << (8 * g);
      }
      q.scales.set<std::int32_t>(row, static_cast<std::int32_t>(word));
    }
    HostTensor low = q.codes, high = q.codes, low_scales = q.scales, high_scales = q.scales;
    std::vector<Given> arguments = q.arguments();
    for (HostTensor* end : {&low, &high, &low_scales, &high_scales}) arguments.emplace_back(end);
    call_reference(kOp, "forward_interval", arguments);
    for (std::int64_t row = 0; row < 36; ++row) {
      for (std::int64_t d = 0; d < 128; ++d) {
        const auto byte = static_cast<std::size_t>(row * 4 + d / 32);
        EXPECT_LE(low_scales.storage[byte], q.scales.storage[byte]);
        EXPECT_GE(high_scales.storage[byte], q.scales.storage[byte]);
        const double scaled = std::ldexp(rows[static_cast<std::size_t>(row)][static_cast<std::size_t>(d)],
                                         127 - static_cast<int>(q.scales.storage[byte]));
        // The nearest of the values, the smaller one of two.
        double nearest = 0.0;
        for (const float v : kValues)
          if (std::fabs(std::fabs(scaled) - v) < std::fabs(std::fabs(scaled) - nearest)) nearest = v;
        nearest = std::copysign(nearest, scaled);
        EXPECT_LE(value(low, row * 128 + d), nearest) << row << ' ' << d;
        EXPECT_GE(value(high, row * 128 + d), nearest) << row << ' ' << d;
        open += value(low, row * 128 + d) != value(high, row * 128 + d) ? 1 : 0;
      }
    }
  }
  EXPECT_LE(open, 6 * 36 * 128 / 1000);
}

TEST(QIndexerFp4QuantReference, RefusesWrongArguments) {
  const auto expect = [](const std::string& argument, auto change) {
    Fp4Queries q(2, 3);
    change(q);
    EXPECT_THAT(refusal(kOp, "forward", q.arguments()), HasSubstr("argument '" + argument + "'"));
  };
  expect("q_input", [](Fp4Queries& q) { q.queries = HostTensor::make(DType::kBF16, {2, 3, 64}); });
  expect("q_fp4", [](Fp4Queries& q) { q.codes = HostTensor::make(DType::kI8, {2, 3, 128}); });
  expect("q_fp4", [](Fp4Queries& q) { q.codes = HostTensor::make(DType::kU8, {2, 3, 64}); });
  expect("q_sf", [](Fp4Queries& q) { q.scales = HostTensor::make(DType::kI32, {3, 3}); });
  expect("q_sf", [](Fp4Queries& q) { q.scales = HostTensor::strided(DType::kI32, {2, 3}, {4, 1}, 0, 8); });
  expect("weight", [](Fp4Queries& q) { q.weight = HostTensor::make(DType::kBF16, {2, 4}); });
  expect("weights_out", [](Fp4Queries& q) { q.weights_out = HostTensor::make(DType::kF32, {2, 4, 1}); });
  expect("freqs_cis", [](Fp4Queries& q) { q.freqs = HostTensor::make(DType::kF64, {3, 64}); });
  expect("positions", [](Fp4Queries& q) { q.positions = HostTensor::make(DType::kI32, {1}); });
}

}  // namespace
}  // namespace dsv4::testing
