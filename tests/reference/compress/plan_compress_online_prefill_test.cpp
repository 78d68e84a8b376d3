#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::TokenPlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Call v1_online_call(const Batch& batch, bool graph, std::int64_t rows) {
  return {"plan_compress_online_prefill",
          "",
          {},
          {in("extend_lens", numbers(batch.extend_lens)), in("seq_lens", numbers(batch.seq_lens)),
           out("compress_plan", HostTensor::make(DType::kU8, {rows, 16})),
           out("write_plan", HostTensor::make(DType::kU8, {rows, 16})), scalar("use_cuda_graph", graph)}};
}

std::vector<Row> rows_in_use(const CallResult& r, std::size_t which) {
  auto rows = rows_of<TokenPlan>(r.tensor(which == 0 ? "compress_plan" : "write_plan"));
  rows.resize(static_cast<std::size_t>(std::get<std::int64_t>(r.returned.at(which))));
  return rows;
}

TEST(PlanCompressOnlinePrefillReference, NewTokensAreCutAtTheEndsOfGroups) {
  // A record holds the last token, its request, its position, and the number of tokens. The new positions are 126, 127
  // and 120 ... 259.
  const CallResult r = accepted(v1_online_call({{}, {128, 260}, {2, 140}}, false, 142));
  EXPECT_THAT(rows_in_use(r, 0), ElementsAre(Row{1, 0, 127, 2}, Row{9, 1, 127, 8}, Row{137, 1, 255, 128}));
  EXPECT_THAT(rows_in_use(r, 1), ElementsAre(Row{141, 1, 259, 4}));
}

TEST(PlanCompressOnlinePrefillReference, FixedSizeIsFilledWithSentinels) {
  const CallResult r = accepted(v1_online_call({{}, {130, 5}, {4, 1}}, true, 5));
  EXPECT_EQ(rows_in_use(r, 0), (std::vector<Row>{{1, 0, 127, 2}} + repeated(kNoTokenRow, 4)));
  EXPECT_EQ(rows_in_use(r, 1), (std::vector<Row>{{3, 0, 129, 2}, {4, 1, 4, 1}} + repeated(kNoTokenRow, 3)));
}

TEST(PlanCompressOnlinePrefillReference, RowsBeyondTheCountsAreLeftAlone) {
  Call call = v1_online_call({{}, {130}, {4}}, false, 4);
  for (const char* name : {"compress_plan", "write_plan"}) {
    call.arg(name).footprint.assign(64, 0);
    std::fill_n(call.arg(name).footprint.begin(), 16, std::uint8_t{1});
  }
  accepted(call);
}

TEST(PlanCompressOnlinePrefillReference, TokensAreNotLimitedTo16Bits) {
  const CallResult r = accepted(v1_online_call({{}, {70000}, {70000}}, false, 70000));
  EXPECT_EQ(rows_in_use(r, 0).size(), 546u);
  EXPECT_THAT(rows_in_use(r, 1), ElementsAre(Row{69999, 0, 69999, 112}));
}

TEST(PlanCompressOnlinePrefillReference, NothingToPlan) {
  const CallResult r = accepted(v1_online_call({}, false, 0));
  EXPECT_THAT(rows_in_use(r, 0), IsEmpty());
  EXPECT_THAT(rows_in_use(r, 1), IsEmpty());
}

TEST(PlanCompressOnlinePrefillReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(v1_online_call({{}, {7, 9}, {4, 0}}, false, 4)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(v1_online_call({{}, {7, 9}, {4, 10}}, false, 14)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(v1_online_call({{}, {7, 9}, {4, 4}}, false, 9)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(v1_online_call({{}, {7, 9}, {4, 4}}, true, 9)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(v1_online_call({{}, {7, 9}, {4, 4}}, true, 7)), HasSubstr("'extend_lens'"));
}

}  // namespace
}  // namespace dsv4::testing
