#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::TokenPlan;
using ::testing::HasSubstr;

Call call_of(const Batch& batch, std::int64_t ratio, bool graph, std::int64_t rows) {
  return {"plan_compress_prefill",
          "",
          {},
          {in("extend_lens", numbers(batch.extend_lens)), in("seq_lens", numbers(batch.seq_lens)),
           out("compress_plan", HostTensor::make(DType::kU8, {rows, 16})),
           out("write_plan", HostTensor::make(DType::kU8, {rows, 16})), scalar("compress_ratio", ratio),
           scalar("is_overlap", ratio == 4), scalar("use_cuda_graph", graph)}};
}

/// Returns the rows of a plan that are in use. The call returns the number of these rows.
std::vector<Row> used(const CallResult& r, std::size_t which) {
  auto rows = rows_of<TokenPlan>(r.tensor(which == 0 ? "compress_plan" : "write_plan"));
  rows.resize(static_cast<std::size_t>(std::get<std::int64_t>(r.returned.at(which))));
  return rows;
}

const Batch kBatch{{}, {7, 261}, {4, 6}};

TEST(PlanCompressPrefillReference, KnownPlansOfTwoRequests) {
  const CallResult r = accepted(call_of(kBatch, 4, false, 10));
  EXPECT_EQ(used(r, 0), (std::vector<Row>{{0, 0, 3, 7}, {4, 1, 255, 7}, {8, 1, 259, 3}}));
  // This op does not keep the last tokens of a cache page, so position 255 is not kept.
  EXPECT_EQ(used(r, 1), (std::vector<Row>{{0, 0, 3, 7},
                                          {1, 0, 4, 6},
                                          {2, 0, 5, 5},
                                          {3, 0, 6, 4},
                                          {5, 1, 256, 6},
                                          {6, 1, 257, 5},
                                          {7, 1, 258, 4},
                                          {8, 1, 259, 3},
                                          {9, 1, 260, 2}}));
}

TEST(PlanCompressPrefillReference, FixedSizeIsFilledWithSentinels) {
  const CallResult r = accepted(call_of({{}, {130, 5}, {4, 0}}, 128, true, 6));
  EXPECT_EQ(used(r, 0), (std::vector<Row>{{1, 0, 127, 126}} + repeated(kNoTokenRow, 5)));
  EXPECT_EQ(used(r, 1), (std::vector<Row>{{2, 0, 128, 125}, {3, 0, 129, 124}} + repeated(kNoTokenRow, 4)));
}

TEST(PlanCompressPrefillReference, RowsBeyondTheCountsAreLeftAlone) {
  Call call = call_of(kBatch, 4, false, 10);
  call.arg("compress_plan").footprint.assign(160, 0);
  std::fill_n(call.arg("compress_plan").footprint.begin(), 3 * 16, std::uint8_t{1});
  accepted(call);
}

TEST(PlanCompressPrefillReference, TokensAreNotLimitedTo16Bits) {
  const CallResult r = accepted(call_of({{}, {70000}, {70000}}, 4, false, 70000));
  EXPECT_EQ(used(r, 0).size(), 17500u);
  EXPECT_EQ(used(r, 0).back(), (Row{69999, 0, 69999, 0}));
}

TEST(PlanCompressPrefillReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(call_of({{}, {7, 9}, {4, 0}}, 4, false, 4)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of({{}, {7, 9}, {4, 10}}, 4, false, 14)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of(kBatch, 4, false, 11)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of(kBatch, 4, true, 9)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of(kBatch, 0, false, 10)), HasSubstr("'compress_ratio'"));
}

}  // namespace
}  // namespace dsv4::testing
