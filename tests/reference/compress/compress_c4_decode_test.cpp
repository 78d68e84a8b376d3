#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/c4_calls.h"

namespace dsv4::testing {
namespace {

TEST(CompressC4DecodeReference, KeepsTheTokenAndThenReadsItsGroup) {
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
  // Request 0 does not complete a group. Its row has a kv of -1, and is kept in row 3 of the first page. Request 1 then
  // reads this row as a part of its overlap.
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

TEST(CompressC4DecodeReference, RequestsWithoutATokenOrARowAreSkipped) {
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  HostTensor rows = HostTensor::make(DType::kF32, {6, kWidth});
  fill_floats(rows, [] { return 1.0f; });
  const std::vector<DecodePlan> plan{layout::kNoRequest, {8, -1, 0, 1}, {8, 8, 0, 1},
                                     {8, 7, 0, 2},       {8, 3, -1, 0}, {4, 2, -1, 0}};
  Call call{
      "compress_c4_decode",
      "",
      {},
      {inout("kv_buffer", state), in("kv_input", rows), out("kv_output", HostTensor::make(DType::kF32, {6, kHeadDim})),
       in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("plan_d", plan_tensor(plan))}};
  // Only the last request has all pages of its entry: its window has one group.
  call.arg("kv_output").footprint.assign(6 * 4 * kHeadDim, 0);
  std::fill_n(call.arg("kv_output").footprint.begin() + 5 * 4 * kHeadDim, 4 * kHeadDim, std::uint8_t{1});
  const CallResult r = accepted(call);
  // Its kv are 0, 0, 1, 1, and its scores too.
  EXPECT_FLOAT_EQ(r.tensor("kv_output").at<float>(5, 0), std::exp(1.0f) / (1.0f + std::exp(1.0f)));
  for (std::int64_t row = 0; row < 8; ++row) {
    const bool kept = row == 7 || row == 3 || row == 2;  // a token is kept even if a page of its entry is missing
    EXPECT_EQ(r.tensor("kv_buffer").at<float>(row / 4, row % 4, 0), kept ? 1.0f : 0.0f) << row;
  }
}

TEST(CompressC4DecodeReference, TheFirstGroupOfARequestHasNoOverlap) {
  // All of page 0 is NaN, and the record names it as the previous group. A request of four tokens has no such group, so
  // neither the NaN nor a weight of its places counts.
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  fill_floats(state, [] { return kNan; });
  HostTensor all = HostTensor::make(DType::kF32, {4, kWidth});
  fill_kv(all);
  HostTensor row = HostTensor::make(DType::kF32, {1, kWidth});
  for (std::int64_t k = 0; k < kWidth; ++k) {
    for (std::int64_t i = 0; i < 3; ++i) state.at<float>(1, i, k) = all.at<float>(i, k);
    row.at<float>(0, k) = all.at<float>(3, k);
  }
  const Call call{
      "compress_c4_decode",
      "",
      {},
      {inout("kv_buffer", state), in("kv_input", row), out("kv_output", HostTensor::make(DType::kF32, {1, kHeadDim})),
       in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})),
       in("plan_d", plan_tensor(std::vector<DecodePlan>{{4, 7, 0, 1}}))}};
  EXPECT_EQ(accepted(call).tensor("kv_output").at<float>(0, 0), (1.0f + 11 + 21 + 31) / 4);
}

}  // namespace
}  // namespace dsv4::testing
