#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "harness/op/records.h"
#include "interface/compress_plan.h"
#include "tests/reference/elementwise/compressed_rows.h"

namespace dsv4::testing {
namespace {

using layout::TokenPlan;
using ::testing::Each;
using ::testing::HasSubstr;

CompressedRowsCall prefill_call(const std::vector<TokenPlan>& plan, std::int64_t rows, std::int64_t dim = 128) {
  return {"compress_norm_rope_prefill_v1", rows, dim, tensor_of_rows(DType::kU8, plan), 0};
}

TEST(CompressNormRopePrefillV1Reference, DividesByTheRootOfTheMeanSquareAndMultipliesByTheWeight) {
  for (const std::int64_t dim : {128, 512}) {
    CompressedRowsCall c = prefill_call({{0, 0, 7, 0}}, 1, dim);
    c.weight.at<float>(7) = -3.0f;
    c.all(4.0f).call();
    EXPECT_EQ(c.at(0, 6), 1.0f);
    EXPECT_EQ(c.at(0, 7), -3.0f);
    c.eps = 3.0;  // the mean is 1 + 3
    EXPECT_EQ(c.all(1.0f).call().at(0, 7), -1.5f);
  }
}

TEST(CompressNormRopePrefillV1Reference, RoundsBothProductsToFloatOnly) {
  // The mean of the squares is 1024 / 128 = 8. The float nearest to 1 / sqrt(8) is 0x1.6a09e6p-2.
  CompressedRowsCall c = prefill_call({{0, 0, 7, 0}}, 1);
  set_float(c.input, 0, 32.0f);
  c.weight.at<float>(0) = 1.046875f;
  EXPECT_EQ(c.call().at(0, 0), static_cast<float>(32.0 * 0x1.6a09e6p-2 * 1.046875));
}

TEST(CompressNormRopePrefillV1Reference, RotatesPairsOfTheLastElements) {
  // The factor is 1. Position 4 turns the last pair, 1 + i, by a right angle: -1 + i.
  CompressedRowsCall c = prefill_call({{0, 0, 7, 0}}, 1);
  c.freqs.at<float>(4, 62) = 0.0f;
  c.freqs.at<float>(4, 63) = 1.0f;
  c.all(1.0f).call();
  EXPECT_EQ(c.at(0, 126), -1.0f);
  EXPECT_EQ(c.at(0, 127), 1.0f);
  EXPECT_EQ(c.at(0, 125), 4.0f);
  EXPECT_EQ(c.at(0, 63), 1.0f);  // not rotated
}

TEST(CompressNormRopePrefillV1Reference, ChangesTheRowsThatRecordsName) {
  // Positions: 8, 0, -1, 12 and 4. The table has positions 0 to 11.
  const std::vector<TokenPlan> plan{{5, 1, 11, 0}, layout::kNoToken, {0, 0, 3, 4},          {2, 0, 2, 0},
                                    {3, 7, 15, 9}, {8, 0, 7, 0},     {0xfffffffe, 0, 7, 0}, {6, 0, 7, 0}};
  CompressedRowsCall c = prefill_call(plan, 8);
  c.all(2.0f).call();
  EXPECT_EQ(c.turned(5), 8.0f);
  EXPECT_EQ(c.turned(0), 0.0f);
  EXPECT_EQ(c.turned(6), 4.0f);
  for (const std::int64_t row : {2, 3}) EXPECT_THAT(c.row(row), Each(1.0f)) << row;  // no rotation
  for (const std::int64_t row : {1, 4, 7}) EXPECT_THAT(c.row(row), Each(2.0f)) << row;
  c.ratio = 128;
  c.records = tensor_of_rows(DType::kU8, std::vector<TokenPlan>{{1, 0, 130, 0}});
  EXPECT_EQ(c.all(2.0f).call().turned(1), 3.0f);
}

TEST(CompressNormRopePrefillV1Reference, HandlesSpecialValues) {
  CompressedRowsCall c = prefill_call({{0, 0, 7, 0}}, 1);
  c.eps = 1e-6;
  c.all(1.0f);
  set_float(c.input, 3, std::nanf(""));
  for (const float y : c.call().row(0)) EXPECT_TRUE(std::isnan(y));
  EXPECT_THAT(c.all(0.0f).call().row(0), Each(0.0f));
  // Without eps, the squares underflow, and the factor is infinite.
  c.eps = 0.0;
  EXPECT_EQ(c.all(1e-30f).call().at(0, 0), INFINITY);
}

TEST(CompressNormRopePrefillV1Interval, ContainsWhatFloatArithmeticGives) {
  std::vector<TokenPlan> plan;
  for (std::uint32_t row = 0; row < 20; ++row) plan.push_back({19 - row, 0, 11, 0});
  expect_interval_contains_float_results(prefill_call(plan, 20), 8);
}

TEST(CompressNormRopePrefillV1Interval, HasTheInputOfARowThatIsNotChanged) {
  CompressedRowsCall c = prefill_call({{1, 0, 7, 0}, layout::kNoToken}, 3);
  c.all(2.0f);
  CompressedRowsCall low = c, high = c;
  for (HostTensor* t : {&low.input, &high.input}) *t = HostTensor::make(DType::kF32, {3, 128});
  c.interval(low, high);
  for (const std::int64_t row : {0, 2}) {
    EXPECT_THAT(low.row(row), Each(2.0f));
    EXPECT_THAT(high.row(row), Each(2.0f));
  }
  EXPECT_LT(low.at(1, 0), 1.0f);
  EXPECT_GT(high.at(1, 0), 1.0f);
}

TEST(CompressNormRopePrefillV1Reference, RefusesWrongArguments) {
  const auto message = [](const std::function<void(CompressedRowsCall&)>& change) {
    CompressedRowsCall c = prefill_call({{0, 0, 7, 0}}, 1);
    change(c);
    return c.message();
  };
  EXPECT_THAT(message([](auto& c) {
                c.input = HostTensor::make(DType::kF32, {1, 512});
              }),
              HasSubstr("'input': expected size 128"));
  EXPECT_THAT(message([](auto& c) { c.weight = HostTensor::make(DType::kBF16, {128}); }),
              HasSubstr("'weight': expected float32"));
  EXPECT_THAT(message([](auto& c) {
                c.records = HostTensor::make(DType::kU8, {1, 8});
              }),
              HasSubstr("'plan': expected size 16"));
  EXPECT_THAT(message([](auto& c) {
                c.freqs = HostTensor::make(DType::kF32, {1, 32});
              }),
              HasSubstr("'freqs_cis': expected size 64"));
  EXPECT_THAT(message([](auto& c) { c.mode = 1; }), HasSubstr("'mode': expected 0, got 1"));
  EXPECT_THAT(message([](auto& c) { c.ratio = -4; }), HasSubstr("'ratio': expected a positive number"));
}

}  // namespace
}  // namespace dsv4::testing
