#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "tests/reference/elementwise/compressed_rows.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

HostTensor lengths_of(const std::vector<std::int32_t>& lengths) {
  HostTensor t = HostTensor::make(DType::kI32, {std::ssize(lengths)});
  for (std::size_t i = 0; i < lengths.size(); ++i) t.at<std::int32_t>(static_cast<std::int64_t>(i)) = lengths[i];
  return t;
}

/// The position of a request of length 8 is 4, and that of length 5 * 4 is 16, which the table lacks.
CompressedRowsCall decode_call(const std::vector<std::int32_t>& lengths, std::int64_t rows, std::int64_t dim = 512) {
  return {"compress_norm_rope_decode_v1", rows, dim, lengths_of(lengths), 1};
}

TEST(CompressNormRopeDecodeV1Reference, DividesByTheRootOfTheMeanSquareAndMultipliesByTheWeight) {
  for (const std::int64_t dim : {128, 512}) {
    CompressedRowsCall c = decode_call({8}, 1, dim);
    c.weight.at<float>(7) = -3.0f;
    c.all(4.0f).call();
    EXPECT_EQ(c.at(0, 6), 1.0f);
    EXPECT_EQ(c.at(0, 7), -3.0f);
    c.eps = 3.0;  // the mean is 1 + 3
    EXPECT_EQ(c.all(1.0f).call().at(0, 7), -1.5f);
  }
}

TEST(CompressNormRopeDecodeV1Reference, RoundsBothProductsToFloatOnly) {
  // The mean of the squares is 1024 / 512 = 2. The float nearest to 1 / sqrt(2) is 0x1.6a09e6p-1.
  CompressedRowsCall c = decode_call({8}, 1);
  set_float(c.input, 0, 32.0f);
  c.weight.at<float>(0) = 1.046875f;
  EXPECT_EQ(c.call().at(0, 0), static_cast<float>(32.0 * 0x1.6a09e6p-1 * 1.046875));
}

TEST(CompressNormRopeDecodeV1Reference, RotatesPairsOfTheLastElements) {
  // The factor is 1. Position 4 multiplies the pair 2 + 3i by 1 + 2i, which gives -4 + 7i.
  CompressedRowsCall c = decode_call({8}, 1);
  for (const auto& [d, x] : {std::pair{450, 2.0f}, {451, 3.0f}}) set_float(c.input, d, x);
  for (const int d : {0, 1, 2}) set_float(c.input, d, std::sqrt(166.3333333f));  // 13 + 3 * 166.33 = 512
  c.freqs.at<float>(4, 2) = 1.0f;
  c.freqs.at<float>(4, 3) = 2.0f;
  c.call();
  EXPECT_NEAR(c.at(0, 450), -4.0f, 1e-5);
  EXPECT_NEAR(c.at(0, 451), 7.0f, 1e-5);
  EXPECT_NEAR(c.at(0, 0), 12.897f, 1e-3);  // not rotated
}

TEST(CompressNormRopeDecodeV1Reference, ChangesTheRowsOfRequestsThatCompleteAnEntry) {
  CompressedRowsCall c = decode_call({8, 5, 0, -4, 40, 20, 4}, 8);
  c.all(2.0f).call();
  EXPECT_EQ(c.turned(0), 4.0f);
  for (const std::int64_t row : {1, 2, 3, 7}) EXPECT_THAT(c.row(row), Each(2.0f)) << row;
  EXPECT_THAT(c.row(4), Each(1.0f));  // position 36 is outside the table: no rotation
  EXPECT_THAT(c.row(5), Each(1.0f));
  EXPECT_EQ(c.turned(6), 0.0f);
  EXPECT_EQ(c.at(6, 0), 1.0f);
  c.ratio = 128;
  c.records = lengths_of({128, 132});
  c.all(2.0f).call();
  EXPECT_EQ(c.turned(0), 0.0f);
  EXPECT_THAT(c.row(1), Each(2.0f));
}

TEST(CompressNormRopeDecodeV1Reference, UsesTheLastRowOfTheTable) {
  CompressedRowsCall c = decode_call({12, 16}, 2);
  c.freqs = HostTensor::make(DType::kF32, {9, 64});
  for (std::int64_t i = 0; i < 64; i += 2) c.freqs.at<float>(8, i) = 5.0f;
  c.all(2.0f).call();
  EXPECT_EQ(c.turned(0), 5.0f);
  EXPECT_EQ(c.turned(1), 1.0f);
}

TEST(CompressNormRopeDecodeV1Reference, HandlesSpecialValues) {
  CompressedRowsCall c = decode_call({8}, 1);
  c.eps = 1e-6;
  c.all(1.0f);
  set_float(c.input, 3, std::nanf(""));
  for (const float y : c.call().row(0)) EXPECT_TRUE(std::isnan(y));
  c.all(-1.0f);
  set_float(c.input, 3, std::numeric_limits<float>::infinity());
  c.call();
  EXPECT_TRUE(std::isnan(c.at(0, 3)));
  EXPECT_EQ(c.at(0, 4), 0.0f);
  EXPECT_THAT(c.all(0.0f).call().row(0), Each(0.0f));
  EXPECT_THAT(c.all(1e30f).call().row(0), Each(0.0f));  // the sum of the squares is infinite
}

TEST(CompressNormRopeDecodeV1Interval, ContainsWhatFloatArithmeticGives) {
  expect_interval_contains_float_results(decode_call(std::vector<std::int32_t>(20, 12), 20), 8);
}

TEST(CompressNormRopeDecodeV1Interval, HasTheInputOfARowThatIsNotChanged) {
  CompressedRowsCall c = decode_call({8, 5}, 3);
  c.all(2.0f);
  CompressedRowsCall low = c, high = c;
  for (HostTensor* t : {&low.input, &high.input}) *t = HostTensor::make(DType::kF32, {3, 512});
  c.interval(low, high);
  for (const std::int64_t row : {1, 2}) {
    EXPECT_THAT(low.row(row), Each(2.0f));
    EXPECT_THAT(high.row(row), Each(2.0f));
  }
  EXPECT_LT(low.at(0, 0), 1.0f);
  EXPECT_GT(high.at(0, 0), 1.0f);
  EXPECT_THAT(c.row(0), Each(2.0f));  // the input is only read
}

TEST(CompressNormRopeDecodeV1Reference, RefusesWrongArguments) {
  const auto message = [](const std::function<void(CompressedRowsCall&)>& change) {
    CompressedRowsCall c = decode_call({8}, 1);
    change(c);
    return c.message();
  };
  EXPECT_THAT(message([](auto& c) {
                c.input = HostTensor::make(DType::kF32, {1, 256});
              }),
              HasSubstr("'input': expected size 512"));
  EXPECT_THAT(message([](auto& c) {
                c.input = HostTensor::make(DType::kBF16, {1, 512});
              }),
              HasSubstr("'input': expected float32"));
  EXPECT_THAT(message([](auto& c) { c.weight = HostTensor::make(DType::kF32, {256}); }),
              HasSubstr("'weight': expected size 128 or 512"));
  EXPECT_THAT(message([](auto& c) { c.records = lengths_of({4, 8}); }), HasSubstr("'seq_lens': expected at most 1"));
  EXPECT_THAT(message([](auto& c) { c.records = HostTensor::make(DType::kI64, {1}); }),
              HasSubstr("'seq_lens': expected int32"));
  EXPECT_THAT(message([](auto& c) { c.mode = 2; }), HasSubstr("'mode': expected 1, got 2"));
  EXPECT_THAT(message([](auto& c) { c.ratio = 0; }), HasSubstr("'ratio': expected a positive number"));
  EXPECT_THAT(message([](auto& c) { c.ratio = std::int64_t{1} << 32; }), HasSubstr("'ratio': expected a positive"));
}

}  // namespace
}  // namespace dsv4::testing
