#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/reference/compress/c128_calls.h"
#include "tests/reference/compress/v1_calls.h"

namespace dsv4::testing::c128 {
namespace {

using ::testing::HasSubstr;

Call prefill_v1(const HostTensor& state, const HostTensor& rows, const std::vector<std::int32_t>& indices, Value extra,
                const std::vector<TokenPlan>& entries, const std::vector<TokenPlan>& kept) {
  return prefill_v1_of(128, kHeadDim, state, rows, indices, std::move(extra), entries, kept);
}

/// The rows of the tokens from `first` on, of 128 tokens.
HostTensor rows_from(std::int64_t first) {
  const HostTensor all = rows_of_tokens(128);
  HostTensor rows = HostTensor::make(DType::kF32, {128 - first, kWidth});
  std::copy_n(all.element(first * kWidth), rows.storage.size(), rows.storage.data());
  return rows;
}

/// A state of NaN. Page 1 holds the tokens 0 to 99.
HostTensor state_of_100() {
  const HostTensor all = rows_of_tokens(100);
  HostTensor state = empty_state();
  for (std::int64_t j = 0; j < 100; ++j) put(state, 1, j, all, j);
  return state;
}

TEST(CompressC128PrefillV1Reference, AnEntryIsWrittenToTheRowOfItsToken) {
  // The last record belongs to request 1, which has page 0. Neither matters, because no row is read from the state.
  Call call = prefill_v1(empty_state(), rows_of_tokens(258), {1, 0}, None{}, {{255, 0, 255, 0}, {129, 1, 127, 0}}, {});
  may_write(call, {129, 255});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(255, 0), kMean + 128);
  EXPECT_EQ(r.tensor("kv_output").at<float>(129, 0), kMean + 2);
  EXPECT_EQ(r.tensor("kv_output").at<float>(129, 1), kMean + 1002);
}

TEST(CompressC128PrefillV1Reference, WeightsAreTheSoftmaxOfScorePlusBias) {
  Call call = prefill_v1(empty_state(), rows_of_tokens(128), {0}, None{}, {{127, 0, 127, 0}}, {});
  call.arg("kv_input").tensor().at<float>(2, kHeadDim) = std::log(3.0f);  // score of token 2, column 0: weight 3
  call.arg("ape").tensor().at<float>(126, 0) = std::log(4.0f);            // bias of place 126: weight 4
  // The weights are 1 but for these two, and the kv of a token is its number.
  const double want = (127.0 * 128 / 2 + 2 * 2 + 3 * 126) / (128 + 2 + 3);
  EXPECT_NEAR(accepted(call).tensor("kv_output").at<float>(127, 0), want, 1e-5);
}

TEST(CompressC128PrefillV1Reference, OldTokensAreInThePageOfExtraAndKeptOnesInThatOfIndices) {
  // The batch has tokens 100 to 127. Request 1 reads tokens 0 to 99 from page 1, and keeps token 105 in page 0. With
  // the page of extra as the second number of indices, a token of another request may be kept there. The entry reads
  // the state as it was before.
  const std::vector<TokenPlan> entry{{27, 1, 127, 100}};
  Call call = prefill_v1(state_of_100(), rows_from(100), {1, 0}, pages_of({0, 1}), entry,
                         {{5, 1, 105, 0}, {6, 0, 256 + 3, 0}, layout::kNoToken});
  may_write(call, {27});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(27, 0), kMean);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(0, 105, 0), 105.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 3, 0), 106.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 4, 0), 4.0f);
}

TEST(CompressC128PrefillV1Reference, WithoutExtraOldTokensAreInThePageOfIndices) {
  const CallResult r =
      accepted(prefill_v1(state_of_100(), rows_from(100), {1}, None{}, {{27, 0, 127, 100}}, {{27, 0, 127, 0}}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(27, 0), kMean);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 127, 0), 127.0f);
}

TEST(CompressC128PrefillV1Reference, ThePositionOfAnEntryIsNotUsed) {
  for (const std::uint32_t position : {0u, 3u, 0xffffffffu}) {
    const CallResult r =
        accepted(prefill_v1(state_of_100(), rows_from(100), {1}, None{}, {{27, 0, position, 100}}, {}));
    EXPECT_EQ(r.tensor("kv_output").at<float>(27, 0), kMean);
  }
}

TEST(CompressC128PrefillV1Reference, RecordsOfRowsOutsideTheTensorsAreSkipped) {
  const std::vector<TokenPlan> entries{layout::kNoToken,
                                       {126, 0, 127, 0},           // needs a token before the first one
                                       {128, 0, 127, 128},         // has no such token
                                       {125, 3, 127, 128},         // has no such request
                                       {124, 1, 127, 100},         // has no page of old tokens
                                       {123, 2, 127, 0xffffffff},  // the same
                                       {26, 0, 127, 100},          // needs a token before the first one
                                       {127, 1, 127, 0}};          // needs no page
  const std::vector<TokenPlan> kept{{128, 0, 7, 0}, {1, 3, 7, 0}, {2, 1, 7, 0}, {3, 2, 7, 0}, {127, 0, 3, 0}};
  Call call = prefill_v1(state_of_100(), rows_of_tokens(128), {0, 2, -1}, pages_of({1, -1, 2}), entries, kept);
  may_write(call, {127});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(127, 0), kMean);
  for (std::int64_t row = 0; row < 128; ++row) {
    EXPECT_EQ(std::isnan(r.tensor("kv_buffer").at<float>(0, row, 0)), row != 3) << row;
  }
}

TEST(CompressC128PrefillV1Reference, TheBoundIsThatOfV2) {
  Random random(1, "v1 bound");
  HostTensor rows = rows_of_tokens(128);
  fill_floats(rows, [&] { return random.gauss(); });
  const Call v1 = prefill_v1(empty_state(), rows, {0}, None{}, {{127, 0, 127, 0}}, {});
  const Call v2 = prefill_of(rows, {{128, 127, 0, -1, -1}}, {});
  EXPECT_EQ(accepted(v1).tensor("kv_output").at<float>(127, 0), accepted(v2).tensor("kv_output").at<float>(0, 0));
  EXPECT_EQ(bounds_of(v1).at<float>(127, 0), bounds_of(v2).at<float>(0, 0));
  EXPECT_GT(bounds_of(v1).at<float>(127, 0), 0.0f);
  EXPECT_EQ(bounds_of(v1).at<float>(126, 0), 0.0f);
}

TEST(CompressC128PrefillV1Reference, RefusalsNameTheArgument) {
  const std::vector<TokenPlan> two(2, layout::kNoToken);
  const HostTensor one = rows_of_tokens(1), short_pages = HostTensor::make(DType::kF32, {2, 8, kWidth});
  EXPECT_THAT(refusal_of(prefill_v1(empty_state(), one, {0}, None{}, two, {})), HasSubstr("'compress_plan'"));
  EXPECT_THAT(refusal_of(prefill_v1(empty_state(), one, {0}, None{}, {}, two)), HasSubstr("'write_plan'"));
  EXPECT_THAT(refusal_of(prefill_v1(short_pages, one, {0}, None{}, {}, {})), HasSubstr("'kv_buffer'"));
  EXPECT_THAT(refusal_of(prefill_v1(empty_state(), one, {0, 1}, pages_of({0}), {}, {})), HasSubstr("'extra'"));
}

}  // namespace
}  // namespace dsv4::testing::c128
