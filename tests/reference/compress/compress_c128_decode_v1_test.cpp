#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/compress/c128_calls.h"
#include "tests/reference/compress/v1_calls.h"

namespace dsv4::testing::c128 {
namespace {

using ::testing::HasSubstr;

Call decode_v1(const HostTensor& state, const HostTensor& rows, const std::vector<std::int32_t>& indices,
               const std::vector<std::int32_t>& lengths, Value extra = None{}) {
  return decode_v1_of(128, kHeadDim, state, rows, indices, lengths, std::move(extra));
}

/// A state whose page 1 holds the first 127 tokens of a group.
HostTensor state_of_127() {
  const HostTensor all = rows_of_tokens(127);
  HostTensor state = empty_state();
  for (std::int64_t j = 0; j < 127; ++j) put(state, 1, j, all, j);
  return state;
}

TEST(CompressC128DecodeV1Reference, KeepsTheTokenInThePageOfItsGroup) {
  // Request 0 gets token 5 of its second group. Request 1 completes a group.
  HostTensor rows = HostTensor::make(DType::kF32, {2, kWidth});
  rows.at<float>(0, 0) = 5;
  rows.at<float>(1, 0) = 127 + 128;
  for (const std::int32_t groups : {1, 3, 1 << 23}) {
    Call call = decode_v1(state_of_127(), rows, {0, 1}, {128 + 6, 128 * groups});
    may_write(call, {1});
    const CallResult r = accepted(call);
    EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMean + 1);
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 127, 0), 255.0f);
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(0, 5, 0), 5.0f);
    EXPECT_TRUE(std::isnan(r.tensor("kv_buffer").at<float>(0, 6, 0)));
  }
}

TEST(CompressC128DecodeV1Reference, TheLengthDecidesWhetherAGroupIsComplete) {
  HostTensor rows = HostTensor::make(DType::kF32, {1, kWidth});
  for (const std::int32_t length : {127, 129, 255}) {
    Call call = decode_v1(state_of_127(), rows, {1}, {length});
    may_write(call, {});
    const CallResult r = accepted(call);
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, (length - 1) % 128, 0), 0.0f) << length;
  }
}

TEST(CompressC128DecodeV1Reference, RequestsWithoutATokenOrAPageAreSkipped) {
  HostTensor rows = HostTensor::make(DType::kF32, {6, kWidth});
  fill_floats(rows, [] { return 1.0f; });
  const HostTensor zeros = HostTensor::make(DType::kF32, {2, 128, kWidth});
  Call call = decode_v1(zeros, rows, {0, 0, 0, -1, 2, 1}, {0, -128, -127, 128, 128, 128});
  may_write(call, {5});
  const CallResult r = accepted(call);
  // Of the last request's window, 127 tokens have kv and score 0, and one has 1.
  EXPECT_FLOAT_EQ(r.tensor("kv_output").at<float>(5, 0), std::exp(1.0f) / (127.0f + std::exp(1.0f)));
  for (std::int64_t row = 0; row < 256; ++row) {
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(row / 128, row % 128, 0), row == 255 ? 1.0f : 0.0f) << row;
  }
}

TEST(CompressC128DecodeV1Reference, ExtraIsNotUsed) {
  HostTensor rows = HostTensor::make(DType::kF32, {1, kWidth});
  rows.at<float>(0, 0) = 127;
  for (const Value& extra : {Value(None{}), Value(pages_of({0})), Value(HostTensor::make(DType::kF32, {3, 5}))}) {
    EXPECT_EQ(accepted(decode_v1(state_of_127(), rows, {1}, {128}, extra)).tensor("kv_output").at<float>(0, 0), kMean);
  }
}

TEST(CompressC128DecodeV1Reference, TheBoundIsThatOfV2) {
  Random random(1, "v1 bound");
  HostTensor state = empty_state(), rows = HostTensor::make(DType::kF32, {2, kWidth});
  fill_floats(state, [&] { return random.gauss(); });
  fill_floats(rows, [&] { return random.gauss(); });
  const Call v1 = decode_v1(state, rows, {1, 0}, {256, 7}),
             v2 = decode_of(state, rows, {{256, 255, -1, 1}, {7, 6, 0, 0}});
  EXPECT_EQ(accepted(v1).tensor("kv_output").at<float>(0, 0), accepted(v2).tensor("kv_output").at<float>(0, 0));
  EXPECT_EQ(bounds_of(v1).at<float>(0, 0), bounds_of(v2).at<float>(0, 0));
  EXPECT_GT(bounds_of(v1).at<float>(0, 0), 0.0f);
  EXPECT_EQ(bounds_of(v1).at<float>(1, 0), 0.0f);
}

TEST(CompressC128DecodeV1Reference, RefusalsNameTheArgument) {
  const HostTensor one = rows_of_tokens(1), short_pages = HostTensor::make(DType::kF32, {2, 8, kWidth});
  EXPECT_THAT(refusal_of(decode_v1(short_pages, one, {0}, {1})), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(decode_v1(empty_state(), one, {0, 1}, {1})), HasSubstr("'indices'"));
  EXPECT_THAT(refusal_of(decode_v1(empty_state(), one, {0}, {1, 1})), HasSubstr("'seq_lens'"));
}

}  // namespace
}  // namespace dsv4::testing::c128
