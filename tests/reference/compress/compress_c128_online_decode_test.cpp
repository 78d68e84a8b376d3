#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/online_calls.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

TEST(CompressC128OnlineDecodeReference, TheFirstTokenOfAGroupIsStored) {
  Call call = online_decode_of(3, {{129, 2, 2, -1}});
  set_token(call.arg("kv_input").tensor(), 0, 5, 0.25f);
  call.arg("ape").tensor().at<float>(0, 1) = 0.5f;
  may_write(call, {}, {2});
  const CallResult r = accepted(call);
  const SlotColumn c = column_of(r.tensor("kv_buffer"), 2, 0), d = column_of(r.tensor("kv_buffer"), 2, 1);
  EXPECT_EQ(c.max, 0.25f);
  EXPECT_EQ(d.max, 0.75f);
  EXPECT_EQ(c.sum, 1.0f);
  EXPECT_EQ(c.mean, 5.0f);
  // The result is a copy, so it has no error.
  EXPECT_EQ(column_of(online_bounds_of(call).second, 2, 0).mean, 0.0f);
}

TEST(CompressC128OnlineDecodeReference, AFirstTokenIsStoredWhateverItsScoreIs) {
  Call call = online_decode_of(2, {{1, 1, 1, -1}});
  set_token(call.arg("kv_input").tensor(), 0, 5, -std::numeric_limits<float>::infinity());
  const SlotColumn c = column_of(accepted(call).tensor("kv_buffer"), 1, 0);
  EXPECT_EQ(c.max, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(c.sum, 1.0f);
  EXPECT_EQ(c.mean, 5.0f);
}

TEST(CompressC128OnlineDecodeReference, ATokenIsAddedToTheRunningSoftmax) {
  // Three tokens of weight 1 have the mean 10. The new token has three times their weight, because its score is log 3
  // higher: the mean is (3 * 10 + 3 * 22) / 6. Relative to the new maximum, the sum is 3 / 3 + 1.
  Call call = online_decode_of(2, {{132, 1, 1, -1}});
  const float higher = std::log(3.0f);
  set_column(call.arg("kv_buffer").tensor(), 1, 0, {2, 3, 10});
  set_column(call.arg("kv_buffer").tensor(), 1, 1, {2, 3, 10});
  set_token(call.arg("kv_input").tensor(), 0, 22, 2);
  for (std::int64_t d = 0; d < 2; ++d) call.arg("ape").tensor().at<float>(3, d) = d == 0 ? higher : -higher;
  const CallResult r = accepted(call);
  const SlotColumn c = column_of(r.tensor("kv_buffer"), 1, 0), d = column_of(r.tensor("kv_buffer"), 1, 1);
  EXPECT_EQ(c.max, 2 + higher);
  EXPECT_NEAR(c.sum, 2.0, 1e-6);
  EXPECT_NEAR(c.mean, 16.0, 1e-5);
  // In the other column the new token has a third of the weight of one earlier token.
  EXPECT_EQ(d.max, 2.0f);
  EXPECT_NEAR(d.sum, 3 + 1.0 / 3, 1e-6);
  EXPECT_NEAR(d.mean, (30 + 22.0 / 3) / (3 + 1.0 / 3), 1e-5);
}

TEST(CompressC128OnlineDecodeReference, TheLastTokenOfAGroupGivesTheEntry) {
  Call call = online_decode_of(2, {{5, 0, 0, -1}, {256, 1, 1, -1}});
  for (const std::int64_t slot : {0, 1}) {
    for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), slot, d, {1, 127, 4});
  }
  for (const std::int64_t b : {0, 1}) set_token(call.arg("kv_input").tensor(), b, 132, 1);
  may_write(call, {1}, {0});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), (127.0f * 4 + 132) / 128);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 0, 1).sum, 128.0f);
}

TEST(CompressC128OnlineDecodeReference, ASlotIsReadAndWrittenWhereThePlanSays) {
  Call call = online_decode_of(3, {{7, 2, 1, -1}});
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 1, d, {0, 1, 4});
  set_token(call.arg("kv_input").tensor(), 0, 6, 0);
  may_write(call, {}, {2});
  EXPECT_EQ(column_of(accepted(call).tensor("kv_buffer"), 2, 0).mean, 5.0f);
}

TEST(CompressC128OnlineDecodeReference, RequestsWithoutATokenOrASlotAreSkipped) {
  const std::vector<layout::DecodePlan> plan{layout::kNoRequest, {7, 2, 0, -1},    {7, 0, 2, -1},
                                             {7, -1, 0, -1},     {128, 0, -1, -1}, {129, 1, -1, -1}};
  Call call = online_decode_of(2, plan);
  for (std::int64_t b = 0; b < 6; ++b) set_token(call.arg("kv_input").tensor(), b, 9, 0);
  may_write(call, {}, {1});  // the first token of a group reads no slot
  EXPECT_EQ(column_of(accepted(call).tensor("kv_buffer"), 1, 0).mean, 9.0f);
}

TEST(CompressC128OnlineDecodeReference, NaNAndInfinityAreWhereFloatArithmeticHasThem) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto after = [](const SlotColumn& before, float kv, float score) {
    Call call = online_decode_of(1, {{3, 0, 0, -1}});
    for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 0, d, before);
    set_token(call.arg("kv_input").tensor(), 0, kv, score);
    return column_of(accepted(call).tensor("kv_buffer"), 0, 0);
  };
  const SlotColumn cleared = after({1, 2, 8}, 0, -kInf);
  EXPECT_EQ(cleared.max, 1.0f);
  EXPECT_EQ(cleared.sum, 2.0f);
  EXPECT_EQ(cleared.mean, 8.0f);
  EXPECT_EQ(after({-kInf, 1, 0}, 7, 3).mean, 7.0f);
  EXPECT_TRUE(std::isnan(after({-kInf, 1, 0}, 7, -kInf).sum));
  const SlotColumn nan = after({1, 2, 8}, 7, std::nanf(""));
  EXPECT_EQ(nan.max, 1.0f);
  EXPECT_TRUE(std::isnan(nan.sum));
  EXPECT_TRUE(std::isnan(after({1, 2, 8}, std::nanf(""), 0).mean));
  EXPECT_FALSE(std::isnan(after({1, 2, 8}, std::nanf(""), 0).sum));
}

/// A step as a kernel computes it: in float, with inexact exponentials. The errors of the exponentials are `exp_ulps`
/// times 2 + 1.173 |x| ulp, where an ulp is 2^-24, with opposite signs.
SlotColumn float_step(const SlotColumn& before, float kv, float z, double exp_ulps) {
  const auto exponential = [exp_ulps](float x, double sign) {
    const double off = sign * exp_ulps * (2 + 1.173 * std::fabs(x)) * 0x1p-24;
    return static_cast<float>(std::exp(static_cast<double>(x)) * (1 + off));
  };
  const float max = std::max(before.max, z);
  const float earlier = before.sum * exponential(before.max - max, 1), weight = exponential(z - max, -1);
  const float sum = earlier + weight;
  return {max, sum, (before.mean * earlier + kv * weight) / sum};
}

TEST(CompressC128OnlineDecodeReference, TheBoundHoldsAndIsTight) {
  Random random(1, "bound");
  for (const float scale : {0.1f, 1.0f, 10.0f, 50.0f}) {
    double worst_sum = 0, worst_mean = 0;
    for (int trial = 0; trial < 200; ++trial) {
      Call call = online_decode_of(1, {{60, 0, 0, -1}});
      const SlotColumn before{random.gauss() * scale, 1 + 50 * random.unit(), random.gauss()};
      for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 0, d, before);
      const float kv = random.gauss(), score = random.gauss() * scale;
      set_token(call.arg("kv_input").tensor(), 0, kv, score);
      const SlotColumn want = column_of(accepted(call).tensor("kv_buffer"), 0, 0);
      const SlotColumn bound = column_of(online_bounds_of(call).second, 0, 0);
      const SlotColumn got = float_step(before, kv, score, 2.0);
      ASSERT_EQ(got.max, want.max);
      ASSERT_EQ(bound.max, 0.0f);
      ASSERT_LE(std::fabs(got.sum - want.sum), bound.sum) << scale << " " << trial;
      ASSERT_LE(std::fabs(got.mean - want.mean), bound.mean) << scale << " " << trial;
      worst_sum = std::max<double>(worst_sum, std::fabs(got.sum - want.sum) / bound.sum);
      worst_mean = std::max<double>(worst_mean, std::fabs(got.mean - want.mean) / bound.mean);
    }
    EXPECT_GT(worst_sum, 0.2) << scale;
    EXPECT_GT(worst_mean, 0.2) << scale;
  }
}

TEST(CompressC128OnlineDecodeReference, RefusalsNameTheArgument) {
  Call call = online_decode_of(1, {{3, 0, 0, -1}});
  call.arg("plan_d").tensor() = plan_tensor(std::vector<layout::DecodePlan>(2));
  EXPECT_THAT(refusal_of(call), HasSubstr("'plan_d'"));
  call = online_decode_of(1, {{3, 0, 0, -1}});
  call.arg("kv_buffer").tensor() = HostTensor::make(DType::kF32, {1, 128, 3 * kColumns});
  EXPECT_THAT(refusal_of(call), HasSubstr("'kv_buffer'"));
}

}  // namespace
}  // namespace dsv4::testing
