#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/slot_map.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using layout::WritePlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Row> compress_rows(const CallResult& r) { return rows_of<CompressPlan>(returned(r, 0)); }
std::vector<Row> write_rows(const CallResult& r) { return rows_of<WritePlan>(returned(r, 1)); }

TEST(PlanPrefillReference, RatioFourFromNothing) {
  const CallResult r = accepted(prefill_plan_call({.ratio = 4}, {{2}, {10}, {10}}, identity_maps(256, 8)));
  // Slot 1024 + q lies in cache page 4: state rows 32 + q mod 8. The second entry reads nothing: its pages say nothing.
  EXPECT_THAT(compress_rows(r), ElementsAre(Row{4, 3, 4, 8, 8}, ElementsAre(8, 7, 0, ::testing::_, ::testing::_)));
  EXPECT_THAT(write_rows(r), ElementsAre(Row{4, 36}, Row{5, 37}, Row{6, 38}, Row{7, 39}, Row{8, 32}, Row{9, 33}));
}

TEST(PlanPrefillReference, BytesOfAnEntry) {
  const CallResult r = accepted(prefill_plan_call({.ratio = 4}, {{2}, {10}, {10}}, identity_maps(256, 8)));
  const std::uint8_t want[] = {4, 0, 0, 0, 3, 0, 4, 0, 8, 0, 0, 0, 8, 0, 0, 0};
  EXPECT_EQ(std::memcmp(returned(r, 0).element(0), want, sizeof want), 0);
}

TEST(PlanPrefillReference, TwoRequestsAndAPageTail) {
  const Batch batch{{2, 1}, {7, 261}, {4, 6}};
  const CallResult r = accepted(prefill_plan_call({.ratio = 4}, batch, identity_maps(256, 8)));
  EXPECT_THAT(compress_rows(r), ElementsAre(Row{4, 0, 7, 8, 8}, Row{256, 4, 7, 4, 5}, Row{260, 8, 3, 5, 6}));
  // Position 255 ends a cache page: kept for a request that reuses the page, though no longer live at length 261.
  EXPECT_THAT(write_rows(r), ElementsAre(Row{0, 35}, Row{1, 36}, Row{2, 37}, Row{3, 38}, Row{4, 23}, Row{5, 24},
                                         Row{6, 25}, Row{7, 26}, Row{8, 27}, Row{9, 28}));
}

TEST(PlanPrefillReference, APrefixOfWholePagesCanBeReused) {
  // Request 1 begins where request 0's first two cache pages end. Its first entries must find the last group there.
  constexpr std::int64_t kPage = 64;
  CacheMaps maps = identity_maps(kPage, 8);
  for (std::int64_t p = 0; p < 2 * kPage; ++p) {
    maps.req_to_token.at<std::int32_t>(1, p) = maps.req_to_token.at<std::int32_t>(0, p);
  }
  SlotMap slots(4);
  const auto step = [&](const Batch& batch, const std::string& name) {
    const CallResult r = accepted(prefill_plan_call({.ratio = 4}, batch, maps));
    // The slot map knows prefixes by request 0, whose tokens they are.
    const Batch known{{0}, batch.seq_lens, batch.extend_lens};
    ASSERT_FALSE(records_of<WritePlan>(returned(r, 1)).empty());
    slots.begin(name);
    slots.read(known, records_of<CompressPlan>(returned(r, 0)));
    slots.write(known, records_of<WritePlan>(returned(r, 1)));
  };
  step({{0}, {200}, {200}}, "one long prefill");
  const std::int64_t before = slots.checked();
  step({{1}, {2 * kPage + 5}, {5}}, "reuse");
  EXPECT_EQ(slots.checked() - before, 4);  // the entry at 131 looks at 124 ... 127
  const auto findings = slots.take_findings();
  EXPECT_TRUE(findings.empty()) << findings.front().detail;
}

TEST(PlanPrefillReference, RatioOneHundredAndTwentyEightKeepsTheDraftsBeforeItsGroup) {
  const Batch batch{{3}, {130}, {4}};
  const CacheMaps maps = identity_maps(256, 256);
  for (const bool device : {false, true}) {
    const CallResult r = accepted(prefill_plan_call({.ratio = 128, .lens_on_device = device}, batch, maps));
    // Live are positions 128 and 129; 126 and 127 may be needed again when drafts are taken back.
    EXPECT_THAT(write_rows(r), ElementsAre(Row{0, 1662}, Row{1, 1663}, Row{2, 1664}, Row{3, 1665}));
    EXPECT_EQ(compress_rows(r), (device ? std::vector<Row>{{128, 1, 126, 12, 12}} + repeated(kNoCompressRow, 3)
                                        : std::vector<Row>{{128, 1, 126, 12, 12}}));
  }
}

TEST(PlanPrefillReference, AFullRingLeavesNoRoomForDrafts) {
  const CallResult r = accepted(prefill_plan_call({.ratio = 128}, {{3}, {130}, {4}}, identity_maps(256, 128)));
  EXPECT_THAT(write_rows(r), ElementsAre(Row{2, 768}, Row{3, 769}));
}

TEST(PlanPrefillReference, FixedSizeIsFilledWithSentinels) {
  PrefillPlanForm form{.ratio = 4, .lens_on_device = true, .num_q = 12};
  const CallResult r = accepted(prefill_plan_call(form, {{0, 1, 2}, {7, 5, 3}, {4, 0, 1}}, identity_maps(256, 8)));
  // Request 1 brings no token, so request 2 follows request 0 in the batch.
  EXPECT_EQ(compress_rows(r), (std::vector<Row>{{4, 0, 7, 0, 0}} + repeated(kNoCompressRow, 11)));
  EXPECT_EQ(write_rows(r), (std::vector<Row>{{0, 3}, {1, 4}, {2, 5}, {3, 6}, {4, 34}} + repeated(kNoWriteRow, 7)));
  EXPECT_EQ(returned(r, 0).element(16)[0], 0xff);
}

TEST(PlanPrefillReference, CountsFollowTheFormula) {
  for (const std::int64_t ratio : {4, 128}) {
    for (std::int64_t length = 1; length <= 300; length += 7) {
      for (std::int64_t extend = 1; extend <= length; extend += 5) {
        const CallResult r = accepted(
            prefill_plan_call({.ratio = ratio}, {{1}, {length}, {extend}}, identity_maps(256, ratio == 4 ? 8 : 128)));
        ASSERT_EQ(returned(r, 0).size(0), length / ratio - (length - extend) / ratio) << length << " " << extend;
      }
    }
  }
}

TEST(PlanPrefillReference, NothingToPlan) {
  const CallResult r = accepted(prefill_plan_call({.ratio = 4}, {}, identity_maps(256, 8)));
  EXPECT_EQ(returned(r, 0).shape, (Shape{0, 16}));
  EXPECT_EQ(returned(r, 1).shape, (Shape{0, 8}));
}

TEST(PlanPrefillReference, RefusalsNameTheArgument) {
  const Batch good{{1, 2}, {9, 9}, {4, 4}};
  const CacheMaps maps = identity_maps(256, 8);
  const auto refused = [&](const Batch& batch, const PrefillPlanForm& form, const CacheMaps& m) {
    return refusal_of(prefill_plan_call(form, batch, m));
  };
  EXPECT_THAT(refused({{1, 2}, {9, 9}, {4, 0}}, {}, maps), HasSubstr("'extend_lens': [1] = 0"));
  EXPECT_THAT(refused({{1, 2}, {9, 9}, {4, 10}}, {}, maps), HasSubstr("'extend_lens': [1] = 10 must be at most"));
  EXPECT_THAT(refused(good, {.num_q = 9}, maps), HasSubstr("'extend_lens': the sum must be"));
  EXPECT_THAT(refused(good, {.num_q = 7}, maps), HasSubstr("'extend_lens': the sum must be"));
  EXPECT_THAT(refused(good, {.num_q = 1}, maps), HasSubstr("'num_q_tokens'"));
  EXPECT_THAT(refused(good, {.num_q = 65536}, maps), HasSubstr("'num_q_tokens'"));
  EXPECT_THAT(refused(good, {.ratio = 8}, maps), HasSubstr("'compress_ratio'"));
  EXPECT_THAT(refused(good, {}, identity_maps(256, 6)), HasSubstr("'ring_size'"));
  EXPECT_THAT(refused(good, {}, identity_maps(20, 8)), HasSubstr("'swa_page_size'"));
  Call call = prefill_plan_call({}, good, maps);
  call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {24 * 8 - 1});
  EXPECT_THAT(refusal_of(call), HasSubstr("'pin_buffer'"));
}

TEST(PlanPrefillReference, TokensThatAreNotInTheMapsHaveSentinels) {
  const CallResult r = accepted(prefill_plan_call({}, {{9, 1}, {8, 8}, {4, 4}}, identity_maps(256, 8)));
  ASSERT_EQ(compress_rows(r).size(), 2u);
  EXPECT_EQ(compress_rows(r)[0], kNoCompressRow);
  EXPECT_NE(compress_rows(r)[1], kNoCompressRow);
  const auto kept = write_rows(r);
  EXPECT_EQ(std::ranges::count(kept, kNoWriteRow), std::ssize(kept) / 2);
}

TEST(PlanPrefillReference, SixteenBitsNumberTheLastToken) {
  CacheMaps maps = make_maps(Batch{{0}, {65535}, {65535}}, {.pool = 1, .shuffled = false}, 1);
  const CallResult r = accepted(prefill_plan_call({.ratio = 4}, {{0}, {65535}, {65535}}, maps));
  EXPECT_EQ(compress_rows(r).back()[1], 65531);  // the last full group ends at position 65531
  EXPECT_EQ(write_rows(r).back()[0], 65534);
}

}  // namespace
}  // namespace dsv4::testing
