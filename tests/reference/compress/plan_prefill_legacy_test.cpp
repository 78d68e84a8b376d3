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

TEST(PlanPrefillLegacyReference, RatioFourUsesTwoPagesInTurn) {
  const CallResult r = accepted(legacy_prefill_plan_call(4, false, {{2}, {10}, {10}}));
  EXPECT_THAT(rows_of<CompressPlan>(returned(r, 0)), ElementsAre(Row{4, 3, 4, 4, 4}, Row{8, 7, 0, 4, 5}));
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)),
              ElementsAre(Row{4, 20}, Row{5, 21}, Row{6, 22}, Row{7, 23}, Row{8, 16}, Row{9, 17}));
}

TEST(PlanPrefillLegacyReference, RatioOneHundredAndTwentyEightOwnsOnePage) {
  const CallResult r = accepted(legacy_prefill_plan_call(128, true, {{3}, {130}, {4}}));
  EXPECT_THAT(rows_of<CompressPlan>(returned(r, 0)),
              ElementsAre(Row{128, 1, 126, 3, 3}, kNoCompressRow, kNoCompressRow, kNoCompressRow));
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)), ElementsAre(Row{2, 384}, Row{3, 385}, kNoWriteRow, kNoWriteRow));
}

TEST(PlanPrefillLegacyReference, KeepsNoPageTails) {
  const CallResult r = accepted(legacy_prefill_plan_call(4, false, {{0}, {264}, {16}}));
  // At length 264, positions from 260 on are kept, because a later entry reads them. Positions 252 ... 255 are the last
  // ones of a cache page, but this op does not keep them.
  EXPECT_THAT(rows_of<WritePlan>(returned(r, 1)), ElementsAre(Row{12, 4}, Row{13, 5}, Row{14, 6}, Row{15, 7}));
}

TEST(PlanPrefillLegacyReference, RefusesABatchThatDoesNotFillTheRows) {
  Call call = legacy_prefill_plan_call(4, true, {{1, 2}, {9, 9}, {4, 4}});
  call.arg("num_q_tokens").value = std::int64_t{9};
  call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {kPinBytes * 9});
  EXPECT_THAT(refusal_of(call), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(legacy_prefill_plan_call(4, false, {{1}, {9}, {0}})), HasSubstr("'num_q_tokens'"));
  EXPECT_THAT(refusal_of(legacy_prefill_plan_call(4, false, {{1}, {9}, {10}})), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(legacy_prefill_plan_call(64, false, {{1}, {9}, {9}})), HasSubstr("'compress_ratio'"));
}

}  // namespace
}  // namespace dsv4::testing
