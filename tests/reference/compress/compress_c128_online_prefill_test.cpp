#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/online_calls.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using ::testing::HasSubstr;

/// Token t has the kv 10 t and the score 0.
void fill_tokens(Call& call) {
  HostTensor& input = call.arg("kv_input").tensor();
  for (std::int64_t t = 0; t < input.size(0); ++t) set_token(input, t, static_cast<float>(10 * t), 0);
}

TEST(CompressC128OnlinePrefillReference, AWholeGroupGivesTheMean) {
  Call call = online_prefill_of(1, 130, {{128, 129, 128, 0, -1}}, {});
  fill_tokens(call);
  may_write(call, {0}, {});
  // Tokens 2 ... 129 have the kv 20 ... 1290. Their mean is 655.
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(0, 1), 655.0f);
}

TEST(CompressC128OnlinePrefillReference, WeightsAreTheSoftmaxOfScorePlusBiasOfThePlace) {
  // Tokens 0, 1, 2 are at the places 5, 6, 7 of their group. The bias of place 6 gives token 1 the weight 4, and the
  // score of token 2 gives it the weight 3.
  Call call = online_prefill_of(2, 3, {}, {{8, 2, 3, 1, -1}});
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 1, d, {0, 5, 40});
  fill_tokens(call);
  set_token(call.arg("kv_input").tensor(), 2, 20, std::log(3.0f));
  call.arg("ape").tensor().at<float>(6, 0) = std::log(4.0f);
  const CallResult r = accepted(call);
  const SlotColumn c = column_of(r.tensor("kv_buffer"), 1, 0), d = column_of(r.tensor("kv_buffer"), 1, 1);
  EXPECT_EQ(c.max, std::log(4.0f));
  EXPECT_NEAR(c.sum, (5 + 1 + 4 + 3) / 4.0, 1e-6);
  EXPECT_NEAR(c.mean, (5 * 40 + 0 + 4 * 10 + 3 * 20) / 13.0, 1e-5);
  EXPECT_EQ(d.max, std::log(3.0f));
  EXPECT_NEAR(d.sum, (5 + 1 + 1 + 3) / 3.0, 1e-6);
  EXPECT_NEAR(d.mean, (5 * 40 + 0 + 10 + 3 * 20) / 10.0, 1e-5);
}

TEST(CompressC128OnlinePrefillReference, ASegmentThatBeginsItsGroupReadsNoSlot) {
  Call call = online_prefill_of(2, 2, {}, {{130, 1, 2, 1, -1}});  // slot 1 holds NaN
  fill_tokens(call);
  const SlotColumn c = column_of(accepted(call).tensor("kv_buffer"), 1, 0);
  EXPECT_EQ(c.max, 0.0f);
  EXPECT_EQ(c.sum, 2.0f);
  EXPECT_EQ(c.mean, 5.0f);
}

TEST(CompressC128OnlinePrefillReference, EntriesReadTheSlotsAsTheyWereBeforeTheCall) {
  // The first request completes its group, and the next group of the same request gets the same slot.
  Call call = online_prefill_of(1, 3, {{128, 0, 1, 0, -1}}, {{130, 2, 2, 0, -1}});
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 0, d, {0, 127, 128});
  fill_tokens(call);
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 127.0f);
  EXPECT_EQ(column_of(r.tensor("kv_buffer"), 0, 0).mean, 15.0f);
}

TEST(CompressC128OnlinePrefillReference, RecordsOfWhatIsNotInTheTensorsAreSkipped) {
  const std::vector<CompressPlan> bad{layout::kNoCompress,  {8, 3, 2, 0, -1},     {8, 0, 2, 1, -1}, {8, 2, 0, 1, -1},
                                      {2, 2, 3, 1, -1},     {0, 2, 2, 1, -1},     {8, 2, 2, 2, -1}, {8, 2, 2, -1, -1},
                                      {8, 2, 0x800, 1, -1}, {8, 0xffff, 2, 1, -1}};
  Call call = online_prefill_of(2, 3, bad, {{8, 2, 2, -1, -1}, {130, 2, 2, 2, -1}, {8, 3, 2, 1, -1}});
  fill_tokens(call);
  may_write(call, {}, {});
  // Slot 0 may be read: the record {8, 3, 2, 0} has no such token.
  for (std::int64_t d = 0; d < 2; ++d) set_column(call.arg("kv_buffer").tensor(), 0, d, {0, 1, 1});
  accepted(call);
}

TEST(CompressC128OnlinePrefillReference, ChunksAndOnePrefillAgree) {
  // One segment of nine tokens, and three segments of three tokens each.
  Random random(1, "chunks");
  Call whole = online_prefill_of(1, 9, {}, {{9, 8, 9, 0, -1}});
  for (std::int64_t t = 0; t < 9; ++t) {
    set_token(whole.arg("kv_input").tensor(), t, random.gauss(), 4 * random.gauss());
  }
  const SlotColumn want = column_of(accepted(whole).tensor("kv_buffer"), 0, 0);
  HostTensor state = empty_slots(1);
  for (std::uint16_t end = 3; end <= 9; end = static_cast<std::uint16_t>(end + 3)) {
    Call part = online_prefill_of(1, 9, {}, {{end, static_cast<std::uint16_t>(end - 1), 3, 0, -1}});
    part.arg("kv_input").tensor() = whole.tensor("kv_input");
    part.arg("kv_buffer").tensor() = state;
    state = accepted(part).tensor("kv_buffer");
  }
  const SlotColumn got = column_of(state, 0, 0);
  EXPECT_EQ(got.max, want.max);
  EXPECT_NEAR(got.sum, want.sum, 1e-6);
  EXPECT_NEAR(got.mean, want.mean, 1e-6);
}

/// The running softmax of the tokens of a call, as a kernel may compute it: in float and token by token, with inexact
/// exponentials. The signs of their errors alternate.
SlotColumn float_chain(const HostTensor& input, double exp_ulps) {
  SlotColumn c{input.at<float>(0, kColumns), 1, input.at<float>(0, 0)};
  for (std::int64_t t = 1; t < input.size(0); ++t) {
    const double sign = t % 2 == 0 ? 1 : -1;
    const auto exponential = [=](float x) {
      const double off = sign * exp_ulps * (2 + 1.173 * std::fabs(x)) * 0x1p-24;
      return static_cast<float>(std::exp(static_cast<double>(x)) * (1 + off));
    };
    const float z = input.at<float>(t, kColumns), max = std::max(c.max, z);
    const float earlier = c.sum * exponential(c.max - max), weight = exponential(z - max);
    const float sum = earlier + weight;
    c = {max, sum, (c.mean * earlier + input.at<float>(t, 0) * weight) / sum};
  }
  return c;
}

TEST(CompressC128OnlinePrefillReference, TheBoundOfAChainOfStepsHolds) {
  constexpr std::int64_t kTokens = 100;
  Random random(2, "chain");
  for (const float scale : {0.1f, 1.0f, 20.0f}) {
    for (int trial = 0; trial < 20; ++trial) {
      Call call = online_prefill_of(1, kTokens, {}, {{kTokens, kTokens - 1, kTokens, 0, -1}});
      for (std::int64_t t = 0; t < kTokens; ++t) {
        set_token(call.arg("kv_input").tensor(), t, random.gauss(), random.gauss() * scale);
      }
      const SlotColumn want = column_of(accepted(call).tensor("kv_buffer"), 0, 0);
      const SlotColumn bound = column_of(online_bounds_of(call, kTokens).second, 0, 0);
      const SlotColumn got = float_chain(call.tensor("kv_input"), 2.0);
      ASSERT_LE(std::fabs(got.sum - want.sum), bound.sum) << scale;
      ASSERT_LE(std::fabs(got.mean - want.mean), bound.mean) << scale;
    }
  }
}

TEST(CompressC128OnlinePrefillReference, TheBoundCoversTheWholeStatedErrorOfTheSums) {
  // Equal values and equal weights: every product, sum and division is off by its whole error in the direction that
  // hurts. The tree of kPrefillRoundings has 25 roundings of a product, counting four for each division, and 15 of
  // a weight.
  Call call = online_prefill_of(1, 64, {}, {{64, 63, 64, 0, -1}});
  for (std::int64_t t = 0; t < 64; ++t) set_token(call.arg("kv_input").tensor(), t, 1.5f, 0);
  const auto [entries, slots] = online_bounds_of(call);
  const SlotColumn bound = column_of(slots, 0, 0);
  const double farthest_sum = 64 * std::pow(1 + 0x1p-24, 15), farthest = 1.5 * std::pow(1 + 0x1p-24, 25 + 15);
  EXPECT_LE(farthest_sum - 64, bound.sum);
  EXPECT_GE(farthest_sum - 64, 0.5 * bound.sum);
  EXPECT_LE(farthest - 1.5, bound.mean);
  EXPECT_GE(farthest - 1.5, 0.5 * bound.mean);
}

TEST(CompressC128OnlinePrefillReference, TheBoundCoversTheWholeStatedErrorOfTheExponentials) {
  // Two tokens decide: one has the weight 1, the other exp(-x). Its weight is a product of three exponentials.
  for (const double x : {4.0, 20.0, 60.0}) {
    Call call = online_prefill_of(1, 2, {}, {{2, 1, 2, 0, -1}});
    const auto other = static_cast<float>(-std::exp(x));
    set_token(call.arg("kv_input").tensor(), 0, 1, 0);
    set_token(call.arg("kv_input").tensor(), 1, other, static_cast<float>(-x));
    const SlotColumn bound = column_of(online_bounds_of(call).second, 0, 0);
    const double weight = std::exp(-x), wrong = weight * (1 + 0x1p-23 * (6 + 1.173 * x));
    const double right = (1 + weight * other) / (1 + weight), farthest = (1 + wrong * other) / (1 + wrong);
    EXPECT_LE(std::fabs(farthest - right), bound.mean) << x;
    EXPECT_GE(std::fabs(farthest - right), 0.2 * bound.mean) << x;
  }
}

TEST(CompressC128OnlinePrefillReference, TheBoundOfASumAllowsThreeExponentialsForEachWeight) {
  // Most of the sum is 127 weights exp(-1). Each is a product of three exponentials and goes through 15 roundings.
  constexpr std::int64_t kTokens = 128;
  Call call = online_prefill_of(1, kTokens, {}, {{kTokens, kTokens - 1, kTokens, 0, -1}});
  for (std::int64_t t = 0; t < kTokens; ++t) set_token(call.arg("kv_input").tensor(), t, 1, t == 0 ? 0.0f : -1.0f);
  const SlotColumn bound = column_of(online_bounds_of(call).second, 0, 0);
  const double weights = 127 * std::exp(-1.0), roundings = std::pow(1 + 0x1p-24, 15);
  const double farthest = (1 + weights * (1 + 0x1p-23 * (6 + 1.173))) * roundings - (1 + weights);
  EXPECT_LE(farthest, bound.sum);
  EXPECT_GE(farthest, 0.5 * bound.sum);
}

TEST(CompressC128OnlinePrefillReference, TheBoundAllowsTheRoundingsOfEachFurtherStep) {
  // In each of 50 steps more, a sum is rounded twice, and a product on its way into the mean seven times.
  constexpr std::int64_t kSteps = 50;
  Call call = online_prefill_of(1, 64, {}, {{64, 63, 64, 0, -1}});
  for (std::int64_t t = 0; t < 64; ++t) set_token(call.arg("kv_input").tensor(), t, 1.5f, 0);
  const SlotColumn bound = column_of(online_bounds_of(call, kSteps).second, 0, 0);
  EXPECT_LE(64 * std::pow(1 + 0x1p-24, 15 + 2 * kSteps) - 64, bound.sum);
  EXPECT_LE(1.5 * std::pow(1 + 0x1p-24, 25 + 15 + (7 + 2) * kSteps) - 1.5, bound.mean);
}

TEST(CompressC128OnlinePrefillReference, RowsThatAreNotWrittenHaveTheBoundZero) {
  Call call = online_prefill_of(2, 3, {layout::kNoCompress}, {{3, 2, 3, 1, -1}});
  fill_tokens(call);
  const auto [entries, slots] = online_bounds_of(call);
  EXPECT_EQ(entries.at<float>(0, 0), 0.0f);
  EXPECT_EQ(column_of(slots, 0, 0).mean, 0.0f);
  EXPECT_GT(column_of(slots, 1, 0).mean, 0.0f);
}

TEST(CompressC128OnlinePrefillReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(online_prefill_of(1, 1, {}, {layout::kNoCompress, layout::kNoCompress})),
              HasSubstr("'plan_w'"));
  Call call = online_prefill_of(1, 2, {}, {});
  call.arg("ape").tensor() = HostTensor::make(DType::kF32, {8, kColumns});
  EXPECT_THAT(refusal_of(call), HasSubstr("'ape'"));
}

}  // namespace
}  // namespace dsv4::testing
