#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/op/rows.h"
#include "tests/reference/compress/c128_calls.h"

namespace dsv4::testing::c128 {
namespace {

/// A state whose page 1 holds the first 127 tokens of a group.
HostTensor state_before_the_last_token() {
  const HostTensor all = rows_of_tokens(127);
  HostTensor state = empty_state();
  for (std::int64_t j = 0; j < 127; ++j) put(state, 1, j, all, j);
  return state;
}

TEST(CompressC128DecodeReference, KeepsTheTokenAndThenReadsItsGroup) {
  // Request 0 does not complete a group. Its row is kept in row 5 of page 1, in the group of request 1. Request 1
  // completes its group, and reads this row.
  HostTensor rows = HostTensor::make(DType::kF32, {2, kWidth});
  rows.at<float>(0, 0) = 5 + 128;
  rows.at<float>(1, 0) = 127;
  Call call = decode_of(state_before_the_last_token(), rows, {{6, 128 + 5, 0, 1}, {128, 128 + 127, -1, 1}});
  may_write(call, {1});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMean + 1);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 127, 0), 127.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 5, 0), 133.0f);
  EXPECT_TRUE(std::isnan(r.tensor("kv_buffer").at<float>(0, 127, 0)));
}

TEST(CompressC128DecodeReference, TheStateRowDecidesWhetherAGroupIsComplete) {
  HostTensor rows = HostTensor::make(DType::kF32, {2, kWidth});
  rows.at<float>(1, 0) = 127;
  // The length of request 0 is a multiple of 128, but its row is not the last one of a page. For request 1 it is the
  // other way round.
  Call call = decode_of(state_before_the_last_token(), rows, {{256, 3, 0, 0}, {77, 128 + 127, -1, 1}});
  may_write(call, {1});
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(1, 0), kMean);
}

TEST(CompressC128DecodeReference, RequestsWithoutATokenOrARowAreSkipped) {
  HostTensor rows = HostTensor::make(DType::kF32, {6, kWidth});
  fill_floats(rows, [] { return 1.0f; });
  const HostTensor zeros = HostTensor::make(DType::kF32, {2, 128, kWidth});
  Call call = decode_of(
      zeros, rows,
      {layout::kNoRequest, {0, 127, 0, 0}, {128, -1, 0, 1}, {128, 256, 0, 1}, {128, 127, 0, 2}, {128, 255, 0, 1}});
  may_write(call, {5});
  const CallResult r = accepted(call);
  // Of the last request's window, 127 tokens have kv and score 0, and one has 1.
  EXPECT_FLOAT_EQ(r.tensor("kv_output").at<float>(5, 0), std::exp(1.0f) / (127.0f + std::exp(1.0f)));
  for (std::int64_t row = 0; row < 256; ++row) {
    const bool kept = row == 127 || row == 255;  // a token is kept even if the page of its entry is missing
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(row / 128, row % 128, 0), kept ? 1.0f : 0.0f) << row;
  }
}

TEST(CompressC128DecodeReference, TheBoundReadsTheNewestTokenFromTheInput) {
  HostTensor rows = HostTensor::make(DType::kF32, {2, kWidth});
  rows.at<float>(0, 0) = 127;
  const Call call = decode_of(state_before_the_last_token(), rows, {{128, 255, -1, 1}, {1, 0, 0, 0}});
  const HostTensor bound = bounds_of(call);
  EXPECT_GT(bound.at<float>(0, 0), 0.0f);
  EXPECT_LT(bound.at<float>(0, 0), 1e-3f);
  EXPECT_EQ(bound.at<float>(1, 0), 0.0f);
}

TEST(CompressC128DecodeReference, RefusalsNameTheArgument) {
  Call call = decode_of(empty_state(), rows_of_tokens(2), {{1, 0, 0, 0}, {1, 1, 0, 0}});
  call.arg("plan_d").tensor() = plan_tensor(std::vector<DecodePlan>{{1, 0, 0, 0}});
  EXPECT_THAT(refusal_of(call), ::testing::HasSubstr("'plan_d'"));
  call = decode_of(HostTensor::make(DType::kF32, {2, 4, kWidth}), rows_of_tokens(1), {{1, 0, 0, 0}});
  EXPECT_THAT(refusal_of(call), ::testing::HasSubstr("'kv_buffer'"));
}

}  // namespace
}  // namespace dsv4::testing::c128
