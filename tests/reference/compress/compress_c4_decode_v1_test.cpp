#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/compress/c4_v1_calls.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

TEST(CompressC4DecodeV1Reference, KeepsTheTokenAndReadsBothPages) {
  // Request 1 gets token 7. Its tokens 0 ... 3 are in page 1, and tokens 4 ... 6 are in page 0.
  const HostTensor all = token_rows(8);
  HostTensor state = HostTensor::make(DType::kF32, {3, 4, kWidth}), rows = token_rows(2);
  for (std::int64_t i = 0; i < 4; ++i) copy_row(all, i, state, 4 + i);
  for (std::int64_t i = 0; i < 3; ++i) copy_row(all, 4 + i, state, i);
  copy_row(all, 7, rows, 1);
  Call call = decode_v1(state, rows, {2, 0}, {10, 8}, pages_of({0, 1}, 1));
  only_entries(call, {1});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMeanOfEight);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(0, 3, 0), 70.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(2, 1, kHeadDim), 1.0f);  // token 9 of request 0
}

TEST(CompressC4DecodeV1Reference, ARequestsTokensTakeTheRowsOfItsRingInTurn) {
  const HostTensor all = token_rows(12);
  HostTensor state = nan_state(8), rows = token_rows(1);
  for (std::int64_t i = 4; i < 11; ++i) copy_row(all, i, state, 8 + i % 8);
  copy_row(all, 11, rows, 0);
  const CallResult r = accepted(decode_v1(state, rows, {1}, {12}, None{}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), kMeanOfEight + 40);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 3, 0), 110.0f);
}

TEST(CompressC4DecodeV1Reference, TheFirstGroupOfARequestHasNoOverlap) {
  // The page of the group before is NaN, and does not count. The absent places have the score -1e9.
  for (const float score : {0.0f, -1e9f}) {
    const HostTensor all = token_rows(4);
    HostTensor state = nan_state(4), rows = token_rows(1);
    for (std::int64_t i = 0; i < 3; ++i) copy_row(all, i, state, 4 + i);
    copy_row(all, 3, rows, 0);
    for (std::int64_t i = 0; i < 3; ++i) state.at<float>(1, i, 3 * kHeadDim) = score;
    rows.at<float>(0, 3 * kHeadDim) = score;
    const CallResult r = accepted(decode_v1(state, rows, {1}, {4}, pages_of({0}, 1)));
    EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), (1.0f + 11 + 21 + 31) / (score == 0 ? 4 : 8));
  }
}

TEST(CompressC4DecodeV1Reference, RequestsWithoutATokenOrAPageAreSkipped) {
  HostTensor rows = HostTensor::make(DType::kF32, {7, kWidth});
  fill_floats(rows, [] { return 1.0f; });
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  // Request 5 is kept, but has no page of the group before. Request 6 needs none.
  Call call =
      decode_v1(state, rows, {0, 0, 0, -1, 2, 0, 1}, {0, -4, -3, 8, 8, 8, 4}, pages_of({1, 1, 1, 1, 1, 2, -1}, 1));
  only_entries(call, {6});
  const CallResult r = accepted(call);
  // Its kv are 0, 0, 0, 1, and its scores too.
  EXPECT_FLOAT_EQ(r.tensor("kv_output").at<float>(6, 0), std::exp(1.0f) / (3.0f + std::exp(1.0f)));
  for (std::int64_t row = 0; row < 8; ++row) {
    const bool kept = row == 3 || row == 7;
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(row / 4, row % 4, 0), kept ? 1.0f : 0.0f) << row;
  }
}

TEST(CompressC4DecodeV1Reference, TheBoundIsZeroWhereNothingIsWritten) {
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  Call call = decode_v1(state, token_rows(2), {0, 1}, {7, 4}, pages_of({0, 0}, 1));
  call.aux = "bound";
  call.arg("kv_buffer").role = Role::kIn;
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 0.0f);
  EXPECT_GT(r.tensor("kv_output").at<float>(1, 0), 0.0f);
}

TEST(CompressC4DecodeV1Reference, RefusalsNameTheArgument) {
  const HostTensor extra = pages_of({0}, 1);
  EXPECT_THAT(refusal_of(decode_v1(nan_state(8), token_rows(1), {0}, {1}, extra)), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(decode_v1(nan_state(4), token_rows(1), {0}, {1}, None{})), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(decode_v1(nan_state(4), token_rows(1), {0, 1}, {1}, extra)), HasSubstr("'indices'"));
  EXPECT_THAT(refusal_of(decode_v1(nan_state(4), token_rows(1), {0}, {1, 1}, extra)), HasSubstr("'seq_lens'"));
  EXPECT_THAT(refusal_of(decode_v1(nan_state(4), token_rows(1), {0}, {1}, pages_of({0, 0}, 1))), HasSubstr("'extra'"));
}

}  // namespace
}  // namespace dsv4::testing
