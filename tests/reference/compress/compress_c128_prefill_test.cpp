#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/op/rows.h"
#include "tests/reference/compress/c128_calls.h"

namespace dsv4::testing::c128 {
namespace {

using ::testing::HasSubstr;

TEST(CompressC128PrefillReference, EqualScoresGiveTheMean) {
  const CallResult r = accepted(prefill_of(rows_of_tokens(130), {{256, 129, 0, -1, -1}, {128, 127, 0, -1, -1}}, {}));
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), kMean + 2);  // tokens 2 to 129
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), kMean);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 1), kMean + 1000);
}

TEST(CompressC128PrefillReference, WeightsAreTheSoftmaxOfScorePlusBias) {
  Call call = prefill_of(rows_of_tokens(128), {{128, 127, 0, -1, -1}}, {});
  call.arg("kv_input").tensor().at<float>(2, kHeadDim) = std::log(3.0f);  // score of token 2, column 0: weight 3
  call.arg("ape").tensor().at<float>(126, 0) = std::log(4.0f);            // bias of place 126: weight 4
  // The weights are 1 but for these two, and the kv of a token is its number.
  const double want = (127.0 * 128 / 2 + 2 * 2 + 3 * 126) / (128 + 2 + 3);
  const CallResult r = accepted(call);
  EXPECT_NEAR(r.tensor("kv_output").at<float>(0, 0), want, 1e-5);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 1), kMean + 1000);  // all weights of column 1 are equal
}

TEST(CompressC128PrefillReference, LeadingTokensAreReadFromTheStateBeforeItIsWritten) {
  // The batch has tokens 100 to 127. In the state, tokens 0 to 99 are in page 1. The call overwrites row 5 of page 1.
  const HostTensor all = rows_of_tokens(128);
  HostTensor rows = HostTensor::make(DType::kF32, {28, kWidth});
  std::copy_n(all.element(100 * kWidth), rows.storage.size(), rows.storage.data());
  Call call = prefill_of(rows, {{128, 27, 100, -1, 1}}, {{27, 128 + 5}});
  for (std::int64_t j = 0; j < 100; ++j) put(call.arg("kv_buffer").tensor(), 1, j, all, j);
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), kMean);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 5, 0), 127.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 5, kHeadDim), 0.0f);
}

TEST(CompressC128PrefillReference, SentinelsAreSkipped) {
  Call call = prefill_of(rows_of_tokens(128), {layout::kNoCompress, {128, 127, 0, -1, -1}}, {layout::kNoWrite});
  may_write(call, {1});
  call.arg("kv_buffer").footprint.assign(call.tensor("kv_buffer").storage.size(), 0);
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(1, 0), kMean);
}

TEST(CompressC128PrefillReference, HandlesScoresThatAreNotFinite) {
  const auto value = [](const std::function<float(std::int64_t)>& score) {
    Call call = prefill_of(rows_of_tokens(128), {{128, 127, 0, -1, -1}}, {});
    for (std::int64_t t = 0; t < 128; ++t) call.arg("kv_input").tensor().at<float>(t, kHeadDim) = score(t);
    return accepted(call).tensor("kv_output").at<float>(0, 0);
  };
  EXPECT_EQ(value([](std::int64_t t) { return t < 126 ? -kInf : 0.0f; }), 126.5f);
  EXPECT_EQ(value([](std::int64_t t) { return t / 8 == 3 ? -kInf : 0.0f; }), (128 * kMean - 8 * 27.5f) / 120);
  EXPECT_TRUE(std::isnan(value([](std::int64_t) { return -kInf; })));
  EXPECT_TRUE(std::isnan(value([](std::int64_t t) { return t == 9 ? kInf : 0.0f; })));
  EXPECT_TRUE(std::isnan(value([](std::int64_t t) { return t == 9 ? kNan : 0.0f; })));
}

TEST(CompressC128PrefillReference, RecordsOfRowsOutsideTheTensorsAreSkipped) {
  const std::vector<CompressPlan> entries{{128, 126, 0, -1, -1},   // needs a token before the first one
                                          {128, 128, 0, -1, -1},   // has no such token
                                          {128, 127, 1, -1, 2},    // has no such page
                                          {128, 127, 1, 0, -1},    // has no such page
                                          {128, 127, 129, 0, 2},   // the same, with a window that is too long
                                          {128, 127, 0, -1, -1}};  // needs no page
  Call call = prefill_of(rows_of_tokens(128), entries, {{127, 256}, {128, 0}, {127, -1}, {0x80000000u, 0}, {127, 3}});
  may_write(call, {5});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(5, 0), kMean);
  for (std::int64_t row = 0; row < 256; ++row) {
    EXPECT_EQ(std::isnan(r.tensor("kv_buffer").at<float>(row / 128, row % 128, 0)), row != 3) << row;
  }
}

/// Computes column 0 as a kernel does: in float, in 16 parts, with an inexact exponential. The error of each
/// exponential is 2 + 1.173 |x| ulp, where an ulp is 2^-24. The signs of the errors alternate.
double float_softmax(const HostTensor& rows, const HostTensor& ape) {
  int turn = 0;
  const auto fast_exp = [&turn](float x) {
    const double off = (turn++ % 2 == 0 ? 1 : -1) * (2 + 1.173 * std::fabs(x)) * 0x1p-24;
    return static_cast<float>(std::exp(static_cast<double>(x)) * (1 + off));
  };
  const auto z = [&](int i) { return rows.at<float>(i, kHeadDim) + ape.at<float>(i, 0); };
  std::vector<float> largest(16, -kInf), weights(16), sums(16);
  for (int i = 0; i < 128; ++i) largest[i / 8] = std::max(largest[i / 8], z(i));
  for (int i = 0; i < 128; ++i) {
    const float weight = fast_exp(z(i) - largest[i / 8]);
    weights[i / 8] += weight;
    sums[i / 8] += weight * rows.at<float>(i, 0);
  }
  const float greatest = *std::ranges::max_element(largest);
  float sum = 0, weight = 0;
  for (std::size_t part = 0; part < 16; ++part) {
    const float scale = fast_exp(largest[part] - greatest);
    weight += weights[part] * scale;
    sum += sums[part] * scale;
  }
  return sum / weight;
}

TEST(CompressC128PrefillReference, TheBoundHoldsAndIsTight) {
  // The errors grow with the scores. For each scale of the scores, the bound must cover every error. At least one error
  // must be larger than a hundredth of its bound.
  Random random(1, "bound");
  for (const double scale : {0.1, 1.0, 10.0, 50.0, 3000.0}) {
    double worst = 0;
    for (int trial = 0; trial < 100; ++trial) {
      Call call = prefill_of(rows_of_tokens(128), {{128, 127, 0, -1, -1}}, {});
      HostTensor& rows = call.arg("kv_input").tensor();
      for (std::int64_t i = 0; i < rows.numel(); ++i) {
        set_float(rows, i, random.gauss() * (i % kWidth >= kHeadDim ? scale : 1.0));
      }
      fill_floats(call.arg("ape").tensor(), [&] { return random.gauss(); });
      const float want = accepted(call).tensor("kv_output").at<float>(0, 0), allowed = bounds_of(call).at<float>(0, 0);
      const double off = std::fabs(float_softmax(rows, call.tensor("ape")) - want);
      ASSERT_LE(off, allowed) << "scale " << scale << ", trial " << trial;
      worst = std::max(worst, off / allowed);
    }
    EXPECT_GT(worst, 0.01) << "scale " << scale;
  }
}

TEST(CompressC128PrefillReference, TheBoundCoversTheWholeStatedErrorOfTheSums) {
  // Equal values and equal weights: every product, every sum and the division are off by their whole error in the
  // direction that hurts. A product or a sum is rounded by half an ulp, which is at most 2^-24 of its value. The parts
  // are added one after another.
  constexpr double kHalfUlp = 0x1p-24;
  HostTensor rows = HostTensor::make(DType::kF32, {128, kWidth});
  for (std::int64_t t = 0; t < 128; ++t) rows.at<float>(t, 0) = 1.5f;
  const Call call = prefill_of(rows, {{128, 127, 0, -1, -1}}, {});
  double numerator = 0, denominator = 0;
  for (int part = 0; part < 16; ++part) {
    const double up = std::pow(1 + kHalfUlp, 9), down = std::pow(1 - kHalfUlp, 8);  // the product with the factor too
    numerator = (numerator + 12.0 * up) * (part > 0 ? 1 + kHalfUlp : 1);
    denominator = (denominator + 8.0 * down) * (part > 0 ? 1 - kHalfUlp : 1);
  }
  const double off = numerator / denominator * (1 + 4 * kHalfUlp) - 1.5, allowed = bounds_of(call).at<float>(0, 0);
  EXPECT_LE(off, allowed);
  EXPECT_GE(off, 0.3 * allowed);
}

TEST(CompressC128PrefillReference, TheBoundCoversBothExponentials) {
  // Two tokens of different parts decide. Token 0 has the weight exp(-x), a product of two exponentials: one with the
  // argument 0, off by 2 ulp, and one with the argument -x, off by 2 + 1.173 x ulp. An ulp is up to 2^-23 relative.
  for (const double x : {8.0, 20.0, 60.0}) {
    HostTensor rows = HostTensor::make(DType::kF32, {128, kWidth});
    for (std::int64_t t = 0; t < 128; ++t) rows.at<float>(t, kHeadDim) = -1e30f;
    rows.at<float>(0, 0) = static_cast<float>(-std::exp(x));  // so that both tokens count
    rows.at<float>(0, kHeadDim) = static_cast<float>(-x);
    rows.at<float>(127, 0) = 1.0f;
    rows.at<float>(127, kHeadDim) = 0.0f;
    const double weight = std::exp(-x), wrong = weight * (1 + 2 * 0x1p-23) * (1 + 0x1p-23 * (2 + 1.173 * x));
    const double kv = rows.at<float>(0, 0);
    const double off = std::fabs((1 + wrong * kv) / (1 + wrong) - (1 + weight * kv) / (1 + weight));
    const double allowed = bounds_of(prefill_of(rows, {{128, 127, 0, -1, -1}}, {})).at<float>(0, 0);
    EXPECT_LE(off, allowed) << x;
    EXPECT_GE(off, 0.2 * allowed) << x;
  }
}

TEST(CompressC128PrefillReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(prefill_of(rows_of_tokens(1), {}, {layout::kNoWrite, layout::kNoWrite})),
              HasSubstr("'plan_w'"));
  Call call = prefill_of(rows_of_tokens(1), {}, {});
  call.arg("ape").tensor() = HostTensor::make(DType::kF32, {8, kHeadDim});
  EXPECT_THAT(refusal_of(call), HasSubstr("'ape'"));
}

}  // namespace
}  // namespace dsv4::testing::c128
