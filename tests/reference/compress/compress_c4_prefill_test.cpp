#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/reference/compress/c4_calls.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

TEST(CompressC4PrefillReference, EqualScoresGiveTheMeanOfBothHalves) {
  Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
  fill_kv(call.arg("kv_input").tensor());
  const CallResult r = accepted(call);
  // In column 0, the overlap blocks of tokens 0 ... 3 hold 0, 10, 20, 30. The own blocks of tokens 4 ... 7 hold 41, 51,
  // 61, 71. The sum of these eight values is 284.
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 284.0f / 8);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 1), 284.0f / 8 + 1000);
}

TEST(CompressC4PrefillReference, TheFirstGroupHasNoOverlap) {
  Call call = prefill_of(4, {{4, 3, 4, -1, -1}}, {});
  fill_kv(call.arg("kv_input").tensor());
  fill_floats(call.arg("ape").tensor(), [] { return 0.5; });
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(0, 0), (1.0f + 11 + 21 + 31) / 4);
}

TEST(CompressC4PrefillReference, WeightsAreTheSoftmaxOfScorePlusBias) {
  Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
  HostTensor& rows = call.arg("kv_input").tensor();
  fill_kv(rows);
  rows.at<float>(2, 2 * kHeadDim) = std::log(3.0f);           // overlap score of token 2, column 0: weight 3
  call.arg("ape").tensor().at<float>(5, 0) = std::log(4.0f);  // bias of place 5, which is token 5: weight 4
  // Before normalisation, the eight weights are 1 1 3 1 | 1 4 1 1. The kv values are 0 10 20 30 | 41 51 61 71.
  const double want = (0 + 10 + 60 + 30 + 41 + 204 + 61 + 71) / 13.0;
  const CallResult r = accepted(call);
  EXPECT_NEAR(r.tensor("kv_output").at<float>(0, 0), want, 1e-5);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 1), 284.0f / 8 + 1000);  // all weights of column 1 are equal
}

TEST(CompressC4PrefillReference, LeadingEntriesAreReadFromTheStateBeforeItIsWritten) {
  // The batch has tokens 6 and 7. In the state, tokens 0 ... 3 are in page 1, and tokens 4 and 5 are in page 0. The
  // call overwrites row 3 of page 1.
  Call call = prefill_of(2, {{8, 1, 6, 1, 0}}, {{1, 7}});
  HostTensor all = HostTensor::make(DType::kF32, {8, kWidth});
  fill_kv(all);
  HostTensor& state = call.arg("kv_buffer").tensor();
  HostTensor& rows = call.arg("kv_input").tensor();
  for (std::int64_t k = 0; k < kWidth; ++k) {
    for (std::int64_t i = 0; i < 4; ++i) state.at<float>(1, i, k) = all.at<float>(i, k);
    for (std::int64_t i = 0; i < 2; ++i) state.at<float>(0, i, k) = all.at<float>(4 + i, k);
    for (std::int64_t i = 0; i < 2; ++i) rows.at<float>(i, k) = all.at<float>(6 + i, k);
  }
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 284.0f / 8);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 3, kHeadDim), 71.0f);
}

TEST(CompressC4PrefillReference, SentinelsAreSkipped) {
  Call call = prefill_of(8, {layout::kNoCompress, {8, 7, 0, -1, -1}}, {layout::kNoWrite});
  fill_kv(call.arg("kv_input").tensor());
  call.arg("kv_output").footprint.assign(16, 0);
  std::fill_n(call.arg("kv_output").footprint.begin() + 8, 8, std::uint8_t{1});
  call.arg("kv_buffer").footprint.assign(call.tensor("kv_buffer").storage.size(), 0);
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(1, 0), 284.0f / 8);
}

TEST(CompressC4PrefillReference, HandlesScoresThatAreNotFinite) {
  const auto value = [](const std::vector<float>& scores, std::uint32_t seq_len) {
    Call call = prefill_of(8, {{seq_len, 7, static_cast<std::uint16_t>(seq_len == 4 ? 4 : 0), -1, -1}}, {});
    HostTensor& rows = call.arg("kv_input").tensor();
    fill_kv(rows);
    for (std::int64_t t = 0; t < 8; ++t)
      rows.at<float>(t, (t < 4 ? 2 : 3) * kHeadDim) = scores[static_cast<std::size_t>(t)];
    return accepted(call).tensor("kv_output").at<float>(0, 0);
  };
  EXPECT_EQ(value({-kInf, -kInf, -kInf, -kInf, 0, 0, 0, 0}, 8), (41.0f + 51 + 61 + 71) / 4);
  EXPECT_TRUE(std::isnan(value(std::vector<float>(8, -kInf), 8)));
  EXPECT_TRUE(std::isnan(value({0, 0, kInf, 0, 0, 0, 0, 0}, 8)));
  EXPECT_TRUE(std::isnan(value({0, 0, kNan, 0, 0, 0, 0, 0}, 8)));
  EXPECT_EQ(value({kNan, kNan, kNan, kNan, 0, 0, 0, 0}, 4), (41.0f + 51 + 61 + 71) / 4);
}

/// Computes as a kernel does: in float, with an inexact exponential. The error of the exponential is `exp_ulps` times
/// 2 + 1.173 |x| ulp, where an ulp is 2^-24. The signs of the errors alternate.
double float_softmax(const HostTensor& rows, const HostTensor& ape, double exp_ulps) {
  float largest = -kInf;
  float z[8];
  for (int i = 0; i < 8; ++i) {
    z[i] = rows.at<float>(i, (i < 4 ? 2 : 3) * kHeadDim) + ape.at<float>(i, 0);
    largest = std::max(largest, z[i]);
  }
  float sum = 0, weights = 0;
  for (int i = 0; i < 8; ++i) {
    const float x = z[i] - largest;
    const double off = (i % 2 == 0 ? 1 : -1) * exp_ulps * (2 + 1.173 * std::fabs(x)) * 0x1p-24;
    const auto weight = static_cast<float>(std::exp(static_cast<double>(x)) * (1 + off));
    weights += weight;
    sum += weight * rows.at<float>(i, (i < 4 ? 0 : 1) * kHeadDim);
  }
  return sum / weights;
}

TEST(CompressC4PrefillReference, TheBoundHoldsAndIsTight) {
  // The errors grow with the scores. For each scale of the scores, the bound must cover every error. At least one error
  // must be larger than a fiftieth of its bound.
  Random random(1, "bound");
  for (const double scale : {0.1, 1.0, 10.0, 50.0, 3000.0}) {
    double worst = 0;
    for (int trial = 0; trial < 300; ++trial) {
      Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
      HostTensor& rows = call.arg("kv_input").tensor();
      for (std::int64_t i = 0; i < rows.numel(); ++i) {
        set_float(rows, i, random.gauss() * (i % kWidth >= 2 * kHeadDim ? scale : 1.0));
      }
      fill_floats(call.arg("ape").tensor(), [&] { return random.gauss(); });
      const float want = accepted(call).tensor("kv_output").at<float>(0, 0);
      Call bound = call;
      bound.aux = "bound";
      bound.arg("kv_buffer").role = Role::kIn;
      const float allowed = accepted(bound).tensor("kv_output").at<float>(0, 0);
      const double got = float_softmax(rows, call.tensor("ape"), 1.0);
      ASSERT_LE(std::fabs(got - want), allowed) << "scale " << scale << ", trial " << trial;
      worst = std::max(worst, std::fabs(got - want) / allowed);
    }
    EXPECT_GT(worst, 0.02) << "scale " << scale;
  }
}

TEST(CompressC4PrefillReference, RecordsOfRowsOutsideTheTensorsAreSkipped) {
  const std::vector<CompressPlan> entries{{8, 6, 0, -1, -1},   // needs a token before the first one
                                          {8, 8, 0, -1, -1},   // has no such token
                                          {8, 7, 1, 2, 0},     // has no such page
                                          {8, 7, 5, 0, -1},    // has no own page
                                          {8, 7, 9, 0, 2},     // the same, with a window that is too long
                                          {8, 7, 0, -1, -1}};  // needs no page
  const std::vector<WritePlan> kept{{7, 8}, {8, 0}, {7, -1}, {0x80000000u, 0}, {7, 3}};
  Call call = prefill_of(8, entries, kept);
  fill_kv(call.arg("kv_input").tensor());
  // Only the last entry may be written.
  call.arg("kv_output").footprint.assign(6 * 4 * kHeadDim, 0);
  std::fill_n(call.arg("kv_output").footprint.begin() + 5 * 4 * kHeadDim, 4 * kHeadDim, std::uint8_t{1});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(5, 0), (0.0f + 10 + 20 + 30 + 41 + 51 + 61 + 71) / 8);
  for (std::int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(std::isnan(r.tensor("kv_buffer").at<float>(row / 4, row % 4, 0)), row != 3) << row;
  }
}

/// Entry and bound of a window of eight tokens, as the reference computes them. `kv` and `score` have a value for each
/// place.
struct EntryAndBound {
  float entry;
  float bound;

  EntryAndBound(const std::vector<double>& kv, const std::vector<double>& score) {
    Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
    HostTensor& rows = call.arg("kv_input").tensor();
    for (std::int64_t i = 0; i < 8; ++i) {
      rows.at<float>(i, (i < 4 ? 0 : 1) * kHeadDim) = static_cast<float>(kv[static_cast<std::size_t>(i)]);
      rows.at<float>(i, (i < 4 ? 2 : 3) * kHeadDim) = static_cast<float>(score[static_cast<std::size_t>(i)]);
    }
    entry = accepted(call).tensor("kv_output").at<float>(0, 0);
    call.aux = "bound";
    call.arg("kv_buffer").role = Role::kIn;
    bound = accepted(call).tensor("kv_output").at<float>(0, 0);
  }
};

TEST(CompressC4PrefillReference, TheBoundCoversTheWholeStatedErrorOfTheSums) {
  // Equal values and equal weights: every product, every sum and the division are off by their whole error in the
  // direction that hurts. An ulp is 2^-23 relative; a product or a sum is rounded by half of it.
  constexpr double kHalfUlp = 0x1p-24;
  const EntryAndBound got(std::vector<double>(8, 1.5), std::vector<double>(8, 0.0));
  double numerator = 0, denominator = 0;
  for (int i = 0; i < 8; ++i) {
    numerator += 1.5 * (1 + kHalfUlp);
    denominator += 1.0;
    if (i > 0) numerator *= 1 + kHalfUlp, denominator *= 1 - kHalfUlp;
  }
  const double farthest = numerator / denominator * (1 + 4 * kHalfUlp);
  EXPECT_LE(farthest - got.entry, got.bound);
  EXPECT_GE(farthest - got.entry, 0.5 * got.bound);
}

TEST(CompressC4PrefillReference, TheBoundCoversTheWholeStatedErrorOfTheExponential) {
  // Two tokens decide: the largest has the weight 1, the other exp(-x). The exponential is off by 2 + 1.173 x ulp, and
  // an ulp is up to 2^-23 relative. The rounding of the sums adds less than a tenth of this.
  for (const double x : {8.0, 20.0, 60.0}) {
    std::vector<double> kv(8, 0.0), score(8, -1e30);
    kv[7] = 1.0;
    kv[6] = -std::exp(x);  // so that both tokens count
    score[7] = 0.0;
    score[6] = -x;
    const EntryAndBound got(kv, score);
    const double other = static_cast<float>(kv[6]);
    const double weight = std::exp(-x), wrong = weight * (1 + 0x1p-23 * (2 + 1.173 * x));
    const double farthest = (1.0 + wrong * other) / (1.0 + wrong), right = (1.0 + weight * other) / (1.0 + weight);
    EXPECT_LE(std::fabs(farthest - right), got.bound) << x;
    EXPECT_GE(std::fabs(farthest - right), 0.3 * got.bound) << x;
  }
}

TEST(CompressC4PrefillReference, AnEntryThatIsNotFiniteHasNoBound) {
  std::vector<double> kv(8, 1.0);
  kv[3] = kInf;
  const EntryAndBound infinite(kv, std::vector<double>(8, 0.0));
  EXPECT_EQ(infinite.entry, kInf);
  EXPECT_EQ(infinite.bound, 0.0f);
}

TEST(CompressC4PrefillReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(prefill_of(1, {}, {layout::kNoWrite, layout::kNoWrite})), HasSubstr("'plan_w'"));
  Call call = prefill_of(8, {}, {});
  call.arg("kv_buffer").tensor() = HostTensor::make(DType::kBF16, {2, 4, kWidth});
  EXPECT_THAT(refusal_of(call), HasSubstr("'kv_buffer'"));
}

}  // namespace
}  // namespace dsv4::testing
