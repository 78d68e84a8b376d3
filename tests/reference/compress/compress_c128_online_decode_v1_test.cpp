#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/online_calls.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

TEST(CompressC128OnlineDecodeV1Reference, TheFirstTokenOfAGroupIsStored) {
  Call call = online_decode_v1_of(3, {2}, {129});  // slot 2 holds NaN
  set_token(call.arg("kv_input").tensor(), 0, 5, -std::numeric_limits<float>::infinity());
  call.arg("kv_input").tensor().at<float>(0, kColumns + 1) = 0.25f;
  call.arg("ape").tensor().at<float>(0, 1) = 0.5f;
  may_write(call, {}, {2});
  const CallResult r = accepted(call);
  const SlotColumn c = column_of(r.tensor("kv_buffer"), 2, 0), d = column_of(r.tensor("kv_buffer"), 2, 1);
  EXPECT_EQ(c.max, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(d.max, 0.75f);
  EXPECT_EQ(c.sum, 1.0f);
  EXPECT_EQ(c.mean, 5.0f);
  EXPECT_EQ(column_of(online_bounds_of(call).second, 2, 1).mean, 0.0f);  // a copy has no error
}

TEST(CompressC128OnlineDecodeV1Reference, ATokenIsAddedToTheRunningSoftmaxOfItsRequest) {
  // Three tokens of weight 1 have the mean 10. The new token is at place 3, whose bias gives it three times their
  // weight.
  Call call = online_decode_v1_of(2, {1}, {132});
  const float higher = std::log(3.0f);
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 1, d, {2, 3, 10});
  set_token(call.arg("kv_input").tensor(), 0, 22, 2);
  call.arg("ape").tensor().at<float>(3, 0) = higher;
  may_write(call, {}, {1});
  const SlotColumn c = column_of(accepted(call).tensor("kv_buffer"), 1, 0);
  EXPECT_EQ(c.max, 2 + higher);
  EXPECT_NEAR(c.sum, 2.0, 1e-6);
  EXPECT_NEAR(c.mean, 16.0, 1e-5);
}

TEST(CompressC128OnlineDecodeV1Reference, TheLastTokenOfAGroupGivesTheEntry) {
  Call call = online_decode_v1_of(3, {2, 0}, {5, 256});
  for (const std::int64_t slot : {0, 2}) {
    for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), slot, d, {1, 127, 4});
  }
  for (const std::int64_t b : {0, 1}) set_token(call.arg("kv_input").tensor(), b, 132, 1);
  may_write(call, {1}, {2});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), (127.0f * 4 + 132) / 128);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 2, 1).sum, 128.0f);
}

TEST(CompressC128OnlineDecodeV1Reference, RequestsWithoutATokenOrASlotAreSkipped) {
  Call call = online_decode_v1_of(2, {0, 0, 0, 2, -1, 2, 1}, {0, -1, -128, 7, 129, 128, 129});
  for (std::int64_t b = 0; b < 7; ++b) set_token(call.arg("kv_input").tensor(), b, static_cast<float>(b), 0);
  may_write(call, {}, {1});
  EXPECT_EQ(column_of(accepted(call).tensor("kv_buffer"), 1, 0).mean, 6.0f);
}

TEST(CompressC128OnlineDecodeV1Reference, ExtraIsNotUsed) {
  Call call = online_decode_v1_of(2, {1}, {1});
  call.args.back().value = i32s({0, 7, -1});
  set_token(call.arg("kv_input").tensor(), 0, 3, 0);
  may_write(call, {}, {1});
  EXPECT_EQ(column_of(accepted(call).tensor("kv_buffer"), 1, 0).mean, 3.0f);
}

TEST(CompressC128OnlineDecodeV1Reference, ResultsAndBoundsAreThoseOfV2) {
  Random random(3, "v1 and v2");
  for (const std::int32_t length : {2, 60, 127, 256}) {
    Call v1 = online_decode_v1_of(2, {1}, {length});
    Call v2 = online_decode_of(2, {{static_cast<std::uint32_t>(length), 1, 1, -1}});
    const SlotColumn before{random.gauss(), 1 + 50 * random.unit(), random.gauss()};
    const float kv = random.gauss(), score = 3 * random.gauss();
    for (Call* call : {&v1, &v2}) {
      for (std::int64_t d = 0; d < 2; ++d) set_column(call->arg("kv_buffer").tensor(), 1, d, before);
      set_token(call->arg("kv_input").tensor(), 0, kv, score);
      may_write(*call, length == 256 ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>{}, {1});
    }
    const CallResult r1 = accepted(v1), r2 = accepted(v2);
    const auto [entry1, slot1] = online_bounds_of(v1);
    const auto [entry2, slot2] = online_bounds_of(v2);
    if (length == 256) {
      EXPECT_EQ(r1.tensor("kv_output").at<float>(0, 0), r2.tensor("kv_output").at<float>(0, 0));
      EXPECT_EQ(entry1.at<float>(0, 0), entry2.at<float>(0, 0));
      EXPECT_GT(entry1.at<float>(0, 0), 0.0f);
      continue;
    }
    const SlotColumn c1 = column_of(r1.tensor("kv_buffer"), 1, 0), c2 = column_of(r2.tensor("kv_buffer"), 1, 0);
    EXPECT_EQ(c1.sum, c2.sum);
    EXPECT_EQ(c1.mean, c2.mean);
    EXPECT_EQ(column_of(slot1, 1, 0).mean, column_of(slot2, 1, 0).mean);
    EXPECT_GT(column_of(slot1, 1, 0).sum, 0.0f);
  }
}

TEST(CompressC128OnlineDecodeV1Reference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(online_decode_v1_of(1, {0}, {1, 2})), HasSubstr("'seq_lens'"));
  Call call = online_decode_v1_of(1, {0}, {1});
  call.arg("indices").tensor() = i32s({0, 0});
  EXPECT_THAT(refusal_of(call), HasSubstr("'indices'"));
  call = online_decode_v1_of(1, {0}, {1});
  call.arg("kv_buffer").tensor() = HostTensor::make(DType::kF32, {1, 128, 3 * kColumns});
  EXPECT_THAT(refusal_of(call), HasSubstr("'kv_buffer'"));
}

}  // namespace
}  // namespace dsv4::testing
