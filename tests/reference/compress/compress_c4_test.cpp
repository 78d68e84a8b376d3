#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/generate/random.h"
#include "harness/ops/compress/plan_model.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;
using ::testing::HasSubstr;

constexpr std::int64_t kHeadDim = 2;  // a reference knows no limit
constexpr std::int64_t kWidth = 4 * kHeadDim;
constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

/// A prefill call of `tokens` rows with a state of two pages, all NaN, and no plan yet.
Call prefill_of(std::int64_t tokens, const std::vector<CompressPlan>& plan_c, const std::vector<WritePlan>& plan_w) {
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  fill_floats(state, [] { return kNan; });
  return {"compress_c4_prefill",
          "",
          {},
          {inout("kv_buffer", state), in("kv_input", HostTensor::make(DType::kF32, {tokens, kWidth})),
           out("kv_output", HostTensor::make(DType::kF32, {std::ssize(plan_c), kHeadDim})),
           in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("plan_c", plan_tensor(plan_c)),
           in("plan_w", plan_tensor(plan_w))}};
}

/// kv of token t: 10 t in the overlap block, 10 t + 1 in its own, plus the column times 1000. Scores 0.
void fill_kv(HostTensor& rows) {
  for (std::int64_t t = 0; t < rows.size(0); ++t) {
    for (std::int64_t d = 0; d < kHeadDim; ++d) {
      rows.at<float>(t, d) = static_cast<float>(10 * t + 1000 * d);
      rows.at<float>(t, kHeadDim + d) = static_cast<float>(10 * t + 1 + 1000 * d);
    }
  }
}

TEST(CompressC4Reference, EqualScoresGiveTheMeanOfBothHalves) {
  Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
  fill_kv(call.arg("kv_input").tensor());
  const CallResult r = accepted(call);
  // Overlap of tokens 0 ... 3: 0, 10, 20, 30. Own of 4 ... 7: 41, 51, 61, 71. Sum 284.
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 0), 284.0f / 8);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 1), 284.0f / 8 + 1000);
}

TEST(CompressC4Reference, TheFirstGroupHasNoOverlap) {
  Call call = prefill_of(4, {{4, 3, 4, -1, -1}}, {});
  fill_kv(call.arg("kv_input").tensor());
  fill_floats(call.arg("ape").tensor(), [] { return 0.5; });
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(0, 0), (1.0f + 11 + 21 + 31) / 4);
}

TEST(CompressC4Reference, WeightsAreTheSoftmaxOfScorePlusBias) {
  Call call = prefill_of(8, {{8, 7, 0, -1, -1}}, {});
  HostTensor& rows = call.arg("kv_input").tensor();
  fill_kv(rows);
  rows.at<float>(2, 2 * kHeadDim) = std::log(3.0f);           // overlap score of token 2, column 0: weight 3
  call.arg("ape").tensor().at<float>(5, 0) = std::log(4.0f);  // place 5 is token 5's own entry: weight 4
  // Weights 1 1 3 1 | 1 4 1 1 of kv 0 10 20 30 | 41 51 61 71.
  const double want = (0 + 10 + 60 + 30 + 41 + 204 + 61 + 71) / 13.0;
  const CallResult r = accepted(call);
  EXPECT_NEAR(r.tensor("kv_output").at<float>(0, 0), want, 1e-5);
  EXPECT_EQ(r.tensor("kv_output").at<float>(0, 1), 284.0f / 8 + 1000);  // column 1 has weights of its own
}

TEST(CompressC4Reference, LeadingEntriesComeFromTheStateAsItWasBefore) {
  // The batch brings tokens 6 and 7; 0 ... 3 lie in page 1, 4 and 5 in page 0, and row 3 of page 1 is overwritten.
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

TEST(CompressC4Reference, SentinelsAreSkipped) {
  Call call = prefill_of(8, {layout::kNoCompress, {8, 7, 0, -1, -1}}, {layout::kNoWrite});
  fill_kv(call.arg("kv_input").tensor());
  call.arg("kv_output").footprint.assign(16, 0);
  std::fill_n(call.arg("kv_output").footprint.begin() + 8, 8, std::uint8_t{1});
  call.arg("kv_buffer").footprint.assign(call.tensor("kv_buffer").storage.size(), 0);
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(1, 0), 284.0f / 8);
}

TEST(CompressC4Reference, ScoresThatAreNotFinite) {
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

TEST(CompressC4Reference, DecodeKeepsTheTokenAndThenReadsItsGroup) {
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  fill_floats(state, [] { return kNan; });
  HostTensor all = HostTensor::make(DType::kF32, {8, kWidth});
  fill_kv(all);
  HostTensor rows = HostTensor::make(DType::kF32, {2, kWidth});
  for (std::int64_t k = 0; k < kWidth; ++k) {
    for (std::int64_t i = 0; i < 4; ++i) state.at<float>(0, i, k) = all.at<float>(i, k);
    for (std::int64_t i = 0; i < 3; ++i) state.at<float>(1, i, k) = all.at<float>(4 + i, k);
    rows.at<float>(1, k) = all.at<float>(7, k);
    rows.at<float>(0, k) = k < 2 * kHeadDim ? -1.0f : 0.0f;
  }
  // Request 0 has no complete group: its row is kept in the first page, whose overlap half no other reads at row 3.
  const std::vector<DecodePlan> plan{{9, 3, 1, 0}, {8, 7, 0, 1}};
  Call call{
      "compress_c4_decode",
      "",
      {},
      {inout("kv_buffer", state), in("kv_input", rows), out("kv_output", HostTensor::make(DType::kF32, {2, kHeadDim})),
       in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("plan_d", plan_tensor(plan))}};
  call.arg("kv_output").footprint.assign(16, 0);
  std::fill_n(call.arg("kv_output").footprint.begin() + 8, 8, std::uint8_t{1});
  const CallResult r = accepted(call);
  EXPECT_EQ(r.tensor("kv_output").at<float>(1, 0), (0.0f + 10 + 20 - 1 + 41 + 51 + 61 + 71) / 8);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(1, 3, 0), 70.0f);
  EXPECT_EQ(r.tensor("kv_buffer").at<float>(0, 3, 0), -1.0f);
}

/// What a kernel may compute: everything in float, with an exponential that is off by 2 + 1.173 |x| ulp, all one way.
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

TEST(CompressC4Reference, TheBoundHoldsAndIsTight) {
  // Errors grow with the scores; the bound must cover each and stay within fifty times of the largest.
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

TEST(CompressC4Reference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(prefill_of(8, {{8, 6, 0, -1, -1}}, {})), HasSubstr("'plan_c'"));
  EXPECT_THAT(refusal_of(prefill_of(8, {{8, 7, 1, 2, 0}}, {})), HasSubstr("'plan_c'"));
  EXPECT_THAT(refusal_of(prefill_of(8, {}, {{7, 8}})), HasSubstr("'plan_w'"));
  EXPECT_THAT(refusal_of(prefill_of(8, {}, {{8, 0}})), HasSubstr("'plan_w'"));
  EXPECT_THAT(refusal_of(prefill_of(1, {}, {layout::kNoWrite, layout::kNoWrite})), HasSubstr("'plan_w'"));
  Call call = prefill_of(8, {}, {});
  call.arg("kv_buffer").tensor() = HostTensor::make(DType::kBF16, {2, 4, kWidth});
  EXPECT_THAT(refusal_of(call), HasSubstr("'kv_buffer'"));
}

}  // namespace
}  // namespace dsv4::testing
