#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/compress/c4_v1_calls.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

TEST(CompressC4PrefillV1Reference, AnEntryIsWrittenToTheRowOfItsToken) {
  Call call = prefill_v1(nan_state(4), token_rows(10), {0}, pages_of({0, 0, 0, 8}, 4), {{7, 0, 7, 0}}, {});
  only_entries(call, {7});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(7, 0), kMeanOfEight);
  EXPECT_EQ(r.tensor("kv_output").at<float>(7, 1), kMeanOfEight + 1000);
}

TEST(CompressC4PrefillV1Reference, PlacesBeforeTheFirstTokenHaveTheScoreMinusABillion) {
  const auto value = [](float score) {
    Call call = prefill_v1(nan_state(4), token_rows(4), {0}, pages_of({0, 0, 0, 0}, 4), {{3, 0, 3, 4}}, {});
    HostTensor& rows = call.arg("kv_input").tensor();
    for (std::int64_t t = 0; t < 4; ++t) rows.at<float>(t, 3 * kHeadDim) = score;
    return accepted(call).tensor("kv_output").at<float>(0 + 3, 0);
  };
  constexpr float kSum = 1 + 11 + 21 + 31;
  EXPECT_EQ(value(0), kSum / 4);
  EXPECT_EQ(value(-1e9f), kSum / 8);  // the four absent places have kv 0 and equal weights
  EXPECT_EQ(value(-1e15f), 0.0f);
  EXPECT_TRUE(std::isnan(value(kNan)));
}

TEST(CompressC4PrefillV1Reference, OldTokensAreInTwoPages) {
  // The batch has tokens 6 and 7. In the state, tokens 0 ... 3 are in page 1, and tokens 4 and 5 are in page 0. Token 7
  // is kept in page 0.
  const HostTensor all = token_rows(8);
  HostTensor state = nan_state(4), rows = token_rows(2);
  for (std::int64_t i = 0; i < 4; ++i) copy_row(all, i, state, 4 + i);
  for (std::int64_t i = 0; i < 2; ++i) copy_row(all, 4 + i, state, i);
  for (std::int64_t i = 0; i < 2; ++i) copy_row(all, 6 + i, rows, i);
  const CallResult r =
      accepted(prefill_v1(state, rows, {0}, pages_of({1, 0, 1, 4}, 4), {{1, 0, 7, 6}}, {{1, 0, 7, 0}}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMeanOfEight);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(0, 3, kHeadDim), 71.0f);
}

TEST(CompressC4PrefillV1Reference, IfTheOwnGroupIsNewTheOldTokensAreInThePageOfTheNewestOne) {
  // The batch has tokens 4 ... 7. Tokens 0 ... 3 are in page 1, which is the second number of extra. The first number
  // names page 0, which is NaN.
  const HostTensor all = token_rows(8);
  HostTensor state = nan_state(4), rows = token_rows(4);
  for (std::int64_t i = 0; i < 4; ++i) copy_row(all, i, state, 4 + i);
  for (std::int64_t i = 0; i < 4; ++i) copy_row(all, 4 + i, rows, i);
  const CallResult r = accepted(prefill_v1(state, rows, {0}, pages_of({0, 1, 1, 4}, 4), {{3, 0, 7, 4}}, {}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(3, 0), kMeanOfEight);
}

TEST(CompressC4PrefillV1Reference, KeptTokensOfTheNewestGroupAreInItsPage) {
  // The newest group of request 1 begins at position 4. Its token before is kept in page 1.
  const CallResult r = accepted(prefill_v1(nan_state(4), token_rows(9), {1, 0}, pages_of({0, 0, 0, 0, 0, 0, 1, 4}, 4),
                                           {}, {{3, 1, 3, 0}, {4, 1, 4, 0}, {6, 1, 6, 0}, layout::kNoToken}));
  const HostTensor& state = r.tensor("kv_buffer");
  EXPECT_EQ(state.at<float>(1, 3, 0), 30.0f);
  EXPECT_EQ(state.at<float>(0, 0, 0), 40.0f);
  EXPECT_EQ(state.at<float>(0, 2, 0), 60.0f);
  EXPECT_TRUE(std::isnan(state.at<float>(0, 3, 0)));
}

TEST(CompressC4PrefillV1Reference, ARequestsTokensTakeTheRowsOfItsRingInTurn) {
  // The batch has tokens 10 and 11. The window of token 11 begins at token 4, which is in row 4 of ring 1. Token 8 is
  // in row 0. Token 11 is kept in row 3.
  const HostTensor all = token_rows(12);
  HostTensor state = nan_state(8), rows = token_rows(2);
  for (std::int64_t i = 4; i < 10; ++i) copy_row(all, i, state, 8 + i % 8);
  for (std::int64_t i = 0; i < 2; ++i) copy_row(all, 10 + i, rows, i);
  const CallResult r = accepted(prefill_v1(state, rows, {1}, None{}, {{1, 0, 11, 6}}, {{1, 0, 11, 0}}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMeanOfEight + 40);  // each token's kv is 10 more than before
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 3, 0), 110.0f);
}

TEST(CompressC4PrefillV1Reference, RecordsOfRowsOutsideTheTensorsAreSkipped) {
  const std::vector<TokenPlan> entries{layout::kNoToken, {6, 0, 7, 0},  // needs a token before the first one
                                       {8, 0, 7, 8},                    // has no such token
                                       {5, 3, 7, 8},                    // has no such request
                                       {4, 1, 7, 1},                    // has no page of the newest old token
                                       {3, 2, 7, 5},                    // has no page of the group before
                                       {0, 0, 6, 8},                    // does not end a group
                                       {7, 1, 7, 0}};                   // needs no page
  const std::vector<TokenPlan> kept{{8, 0, 7, 0}, {1, 3, 7, 0}, {2, 1, 7, 0}, {3, 1, 0, 0}, {7, 0, 6, 0}};
  const HostTensor extra = pages_of({0, 0, 0, 4, 0, -1, -1, 4, -1, 0, 0, 4}, 4);
  Call call = prefill_v1(nan_state(4), token_rows(8), {0, 2, 0}, extra, entries, kept);
  only_entries(call, {7});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(7, 0), kMeanOfEight);
  for (std::int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(std::isnan(r.tensor("kv_buffer").at<float>(row / 4, row % 4, 0)), row != 2) << row;
  }
}

TEST(CompressC4PrefillV1Reference, TheBoundIsThatOfV2) {
  Random random(1, "v1 bound");
  HostTensor rows = token_rows(8);
  fill_floats(rows, [&] { return random.gauss(); });
  Call v1 = prefill_v1(nan_state(4), rows, {0}, pages_of({0, 0, 0, 4}, 4), {{7, 0, 7, 0}}, {});
  Call v2 = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
  v2.arg("kv_input").tensor() = rows;
  EXPECT_EQ(accepted(v1).tensor("kv_output").at<float>(7, 0), accepted(v2).tensor("kv_output").at<float>(0, 0));
  for (Call* call : {&v1, &v2}) {
    call->aux = "bound";
    call->arg("kv_buffer").role = Role::kIn;
  }
  const HostTensor bound = accepted(v1).tensor("kv_output");
  EXPECT_EQ(bound.at<float>(7, 0), accepted(v2).tensor("kv_output").at<float>(0, 0));
  EXPECT_GT(bound.at<float>(7, 0), 0.0f);
  EXPECT_EQ(bound.at<float>(6, 0), 0.0f);
}

TEST(CompressC4PrefillV1Reference, RefusalsNameTheArgument) {
  const HostTensor extra = pages_of({0, 0, 0, 0}, 4);
  const std::vector<TokenPlan> two(2, layout::kNoToken);
  EXPECT_THAT(refusal_of(prefill_v1(nan_state(4), token_rows(1), {0}, extra, two, {})), HasSubstr("'compress_plan'"));
  EXPECT_THAT(refusal_of(prefill_v1(nan_state(4), token_rows(1), {0}, extra, {}, two)), HasSubstr("'write_plan'"));
  EXPECT_THAT(refusal_of(prefill_v1(nan_state(8), token_rows(1), {0}, extra, {}, {})), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(prefill_v1(nan_state(4), token_rows(1), {0}, None{}, {}, {})), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(prefill_v1(nan_state(4), token_rows(1), {0, 1}, extra, {}, {})), HasSubstr("'extra'"));
}

}  // namespace
}  // namespace dsv4::testing
