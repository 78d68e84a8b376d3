#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/plan_calls.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using layout::WritePlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Call call_of(const Batch& batch, std::int64_t ratio, bool graph = false) {
  return {"plan_prefill_legacy",
          "",
          {},
          {in("req_pool_indices", numbers(batch.request_ids)), in("seq_lens", numbers(batch.seq_lens)),
           in("extend_lens", numbers(batch.extend_lens)),
           workspace("pin_buffer", HostTensor::make(DType::kU8, {kPinBytes * batch.tokens()})),
           scalar("num_q_tokens", batch.tokens()), scalar("compress_ratio", ratio), scalar("use_cuda_graph", graph)}};
}

TEST(PlanPrefillLegacyReference, RatioFourUsesTwoPagesInTurn) {
  const CallResult r = accepted(call_of({{2}, {10}, {10}}, 4));
  EXPECT_THAT(rows_of<CompressPlan>(returned(r, 0)), ElementsAre(Row{4, 3, 4, 4, 4}, Row{8, 7, 0, 4, 5}));
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)),
              ElementsAre(Row{4, 20}, Row{5, 21}, Row{6, 22}, Row{7, 23}, Row{8, 16}, Row{9, 17}));
}

TEST(PlanPrefillLegacyReference, RatioOneHundredAndTwentyEightOwnsOnePage) {
  const CallResult r = accepted(call_of({{3}, {130}, {4}}, 128, true));
  EXPECT_THAT(rows_of<CompressPlan>(returned(r, 0)),
              ElementsAre(Row{128, 1, 126, 3, 3}, kNoCompressRow, kNoCompressRow, kNoCompressRow));
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)), ElementsAre(Row{2, 384}, Row{3, 385}, kNoWriteRow, kNoWriteRow));
}

TEST(PlanPrefillLegacyReference, KeepsNoPageTails) {
  const CallResult r = accepted(call_of({{0}, {264}, {16}}, 4));
  // Length 264: live from 260 on. Position 252 ... 255, the end of a cache page, are not kept.
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)), ElementsAre(Row{12, 4}, Row{13, 5}, Row{14, 6}, Row{15, 7}));
}

TEST(PlanPrefillLegacyReference, RefusesABatchThatDoesNotFillTheRows) {
  Call call = call_of({{1, 2}, {9, 9}, {4, 4}}, 4, true);
  call.arg("num_q_tokens").value = std::int64_t{9};
  call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {kPinBytes * 9});
  EXPECT_THAT(refusal_of(call), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of({{1}, {9}, {0}}, 4)), HasSubstr("'num_q_tokens'"));
  EXPECT_THAT(refusal_of(call_of({{1}, {9}, {10}}, 4)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(call_of({{1}, {9}, {9}}, 64)), HasSubstr("'compress_ratio'"));
}

}  // namespace
}  // namespace dsv4::testing
