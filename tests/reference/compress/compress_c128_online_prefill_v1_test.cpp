#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/online_calls.h"

namespace dsv4::testing {
namespace {

using layout::TokenPlan;
using ::testing::HasSubstr;

/// Token t has the kv 10 t and the score 0.
void fill_tokens(Call& call) {
  HostTensor& input = call.arg("kv_input").tensor();
  for (std::int64_t t = 0; t < input.size(0); ++t) set_token(input, t, static_cast<float>(10 * t), 0);
}

void set_slot(Call& call, std::int64_t slot, const SlotColumn& c) {
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), slot, d, c);
}

TEST(CompressC128OnlinePrefillV1Reference, AWholeGroupGivesTheMeanInTheRowOfItsLastToken) {
  Call call = online_prefill_v1_of(1, 130, {0}, {{129, 0, 127, 128}}, {});
  fill_tokens(call);
  may_write(call, {129}, {});
  // Tokens 2 ... 129 have the kv 20 ... 1290. Their mean is 655.
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(129, 1), 655.0f);
}

TEST(CompressC128OnlinePrefillV1Reference, WeightsAreTheSoftmaxOfScorePlusBiasOfThePlace) {
  // Tokens 0, 1, 2 are at the places 5, 6, 7 of their group. The bias of place 6 gives token 1 the weight 4, and the
  // score of token 2 gives it the weight 3.
  Call call = online_prefill_v1_of(2, 3, {1}, {}, {{2, 0, 128 + 7, 3}});
  set_slot(call, 1, {0, 5, 40});
  fill_tokens(call);
  set_token(call.arg("kv_input").tensor(), 2, 20, std::log(3.0f));
  call.arg("ape").tensor().at<float>(6, 0) = std::log(4.0f);
  may_write(call, {}, {1});
  const SlotColumn c = column_of(accepted(call).tensor("kv_buffer"), 1, 0);
  EXPECT_EQ(c.max, std::log(4.0f));
  EXPECT_NEAR(c.sum, (5 + 1 + 4 + 3) / 4.0, 1e-6);
  EXPECT_NEAR(c.mean, (5 * 40 + 0 + 4 * 10 + 3 * 20) / 13.0, 1e-5);
}

TEST(CompressC128OnlinePrefillV1Reference, EarlierTokensAreInTheSlotsOfExtra) {
  // Request 1 completes its group, whose slot is 0, and begins another one, whose slot is 2. Request 0 continues in
  // slot 1. The slot that it has in `indices` is NaN before the call.
  Call call = online_prefill_v1_of(4, 4, {3, 2}, {{1, 1, 127, 1}}, {{0, 0, 4, 1}, {3, 1, 129, 2}}, i32s({1, 0}));
  set_slot(call, 0, {0, 127, 128});
  set_slot(call, 1, {0, 4, 5});
  fill_tokens(call);
  may_write(call, {1}, {2, 3});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), (127 * 128 + 10) / 128.0f);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 3, 0).mean, 4.0f);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 2, 0).mean, 25.0f);  // begins its group, so it reads no slot
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 2, 0).sum, 2.0f);
}

TEST(CompressC128OnlinePrefillV1Reference, EntriesReadTheSlotsAsTheyWereBeforeTheCall) {
  // The next group of the request has the same slot.
  Call call = online_prefill_v1_of(1, 3, {0}, {{0, 0, 127, 1}}, {{2, 0, 129, 2}});
  set_slot(call, 0, {0, 127, 128});
  fill_tokens(call);
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 127.0f);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 0, 0).mean, 15.0f);
}

TEST(CompressC128OnlinePrefillV1Reference, RecordsOfWhatIsNotInTheTensorsAreSkipped) {
  const std::vector<TokenPlan> complete{layout::kNoToken,        {3, 0, 127, 2},  // has no such token
                                        {2, 4, 127, 2},                           // has no such request
                                        {2, 0xfffffffe, 127, 2},                  //
                                        {0, 0, 127, 2},                           // needs a token before the first one
                                        {2, 0, 127, 0},                           // has no token
                                        {2, 0, 128, 2},                           // has tokens of two groups
                                        {2, 0, 127, 129},                         //
                                        {2, 0, 127, 0xffffffff},                  //
                                        {2, 1, 127, 2},                           // has no slot of the earlier tokens
                                        {0xfffffffe, 0, 127, 1}};                 // has no such token
  const std::vector<TokenPlan> open{{2, 2, 5, 1}, {2, 3, 128, 1}, {2, 1, 9, 2}};
  Call call = online_prefill_v1_of(1, 3, {0, 0, 1, -1}, complete, open, i32s({0, 1, 0, 0}));
  set_slot(call, 0, {0, 1, 1});
  fill_tokens(call);
  may_write(call, {}, {});
  accepted(call);
}

TEST(CompressC128OnlinePrefillV1Reference, AnEntryNeedsNoSlotToStore) {
  Call call = online_prefill_v1_of(1, 2, {-1}, {{1, 0, 127, 2}}, {}, i32s({0}));
  set_slot(call, 0, {0, 126, 5});
  fill_tokens(call);
  may_write(call, {1}, {});
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(1, 0), (126 * 5 + 10) / 128.0f);
}

TEST(CompressC128OnlinePrefillV1Reference, ResultsAndBoundsAreThoseOfV2) {
  Random random(1, "v1 and v2");
  Call v1 = online_prefill_v1_of(2, 60, {1}, {{40, 0, 127, 41}}, {{59, 0, 146, 19}});
  Call v2 = online_prefill_of(2, 60, {{128, 40, 41, 1, -1}}, {{147, 59, 19, 1, -1}});
  set_slot(v1, 1, {random.gauss(), 1 + 50 * random.unit(), random.gauss()});
  for (std::int64_t t = 0; t < 60; ++t) set_token(v1.arg("kv_input").tensor(), t, random.gauss(), 3 * random.gauss());
  for (const char* name : {"kv_input", "kv_buffer"}) v2.arg(name).tensor() = v1.tensor(name);
  const CallResult r1 = accepted(v1), r2 = accepted(v2);
  EXPECT_EQ(r1.tensor("kv_output").at<float>(40, 0), r2.tensor("kv_output").at<float>(0, 0));
  EXPECT_EQ(r1.tensor("kv_buffer").storage, r2.tensor("kv_buffer").storage);
  for (const std::int64_t merges : {0, 9}) {
    const auto [entries1, slots1] = online_bounds_of(v1, merges);
    const auto [entries2, slots2] = online_bounds_of(v2, merges);
    EXPECT_EQ(entries1.at<float>(40, 0), entries2.at<float>(0, 0));
    EXPECT_GT(entries1.at<float>(40, 0), 0.0f);
    EXPECT_EQ(entries1.at<float>(39, 0), 0.0f);
    EXPECT_EQ(slots1.storage, slots2.storage);
  }
}

TEST(CompressC128OnlinePrefillV1Reference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(online_prefill_v1_of(1, 1, {0}, {}, {}, i32s({0, 0}))), HasSubstr("'extra'"));
  Call call = online_prefill_v1_of(1, 1, {0}, {}, {});
  call.arg("kv_output").tensor() = HostTensor::make(DType::kF32, {2, kColumns});
  EXPECT_THAT(refusal_of(call), HasSubstr("'kv_output'"));
  call = online_prefill_v1_of(1, 1, {0}, {}, {});
  call.arg("write_plan").tensor() = HostTensor::make(DType::kU8, {1, 8});
  EXPECT_THAT(refusal_of(call), HasSubstr("'write_plan'"));
}

}  // namespace
}  // namespace dsv4::testing
