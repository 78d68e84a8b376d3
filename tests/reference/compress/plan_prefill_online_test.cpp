#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/online_plans.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Plans {
  std::vector<Row> compress;
  std::vector<Row> write;

  Plans(const Batch& batch, const CacheMaps& maps) {
    const CallResult r = accepted(online_prefill_plan_call(batch, maps));
    for (const CompressPlan& p : online_plan(r, "plan_c_dev")) compress.push_back(row_of(p));
    for (const CompressPlan& p : online_plan(r, "plan_w_dev")) write.push_back(row_of(p));
  }
};

TEST(PlanPrefillOnlineReference, NewTokensAreCutAtTheEndsOfGroups) {
  // Request 2 has the new positions 120 ... 259: eight tokens complete the first group, 128 the second, four stay. Its
  // first two groups are in page 4, the third is in page 5.
  const Plans p({{2}, {260}, {140}}, identity_maps(256, 1));
  EXPECT_THAT(p.compress, ElementsAre(Row{128, 7, 8, 4, -1}, Row{256, 135, 128, 4, -1}));
  EXPECT_THAT(p.write, ElementsAre(Row{260, 139, 4, 5, -1}));
}

TEST(PlanPrefillOnlineReference, ASegmentMayBeginAndEndInsideItsGroup) {
  const Plans p({{1}, {20}, {5}}, identity_maps(256, 1));
  EXPECT_THAT(p.compress, IsEmpty());
  EXPECT_THAT(p.write, ElementsAre(Row{20, 4, 5, 2, -1}));
}

TEST(PlanPrefillOnlineReference, RequestsFollowOneAnother) {
  // The first request ends with its group, so it keeps nothing.
  const Plans p({{3, 0, 1}, {128, 129, 1}, {1, 2, 1}}, identity_maps(64, 1));
  EXPECT_THAT(p.compress, ElementsAre(Row{128, 0, 1, 24, -1}, Row{128, 1, 1, 0, -1}));
  EXPECT_THAT(p.write, ElementsAre(Row{129, 2, 1, 2, -1}, Row{1, 3, 1, 8, -1}));
}

TEST(PlanPrefillOnlineReference, BytesOfARecord) {
  const CallResult r = accepted(online_prefill_plan_call({{1}, {258}, {258}}, identity_maps(256, 1)));
  const std::uint8_t want[] = {2, 1, 0, 0, 1, 1, 2, 0, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(std::memcmp(r.tensor("plan_w_dev").element(0), want, sizeof want), 0);
}

TEST(PlanPrefillOnlineReference, OnlyTheRecordsAreWritten) {
  Call call = online_prefill_plan_call({{1}, {20}, {5}}, identity_maps(256, 1));
  EXPECT_EQ(std::ranges::count(call.arg("plan_c_dev").footprint, 1), 0);
  EXPECT_EQ(std::ranges::count(call.arg("plan_w_dev").footprint, 1), 16);
  accepted(call);
}

TEST(PlanPrefillOnlineReference, TheSegmentsTileTheNewTokens) {
  for (std::int64_t length = 1; length <= 400; length += 13) {
    for (std::int64_t extend = 1; extend <= length; extend += 7) {
      const Plans p({{1}, {length}, {extend}}, identity_maps(256, 1));
      ASSERT_EQ(std::ssize(p.compress), length / 128 - (length - extend) / 128) << length << " " << extend;
      ASSERT_EQ(std::ssize(p.write), length % 128 == 0 ? 0 : 1) << length << " " << extend;
      std::int64_t tokens = 0;
      for (const Row& row : p.compress + p.write) tokens += row[2];
      ASSERT_EQ(tokens, extend) << length;
    }
  }
}

TEST(PlanPrefillOnlineReference, SixteenBitsNumberTheLastToken) {
  const Batch batch{{0}, {65536}, {65536}};
  const Plans p(batch, make_maps(batch, {.pool = 1, .page_size = 256, .ring_size = 1, .shuffled = false}, 1));
  EXPECT_EQ(p.compress.size(), 512u);
  EXPECT_EQ(p.compress.back(), (Row{65536, 65535, 128, 256, -1}));
}

TEST(PlanPrefillOnlineReference, ASegmentWhoseGroupIsNotInTheMapsHasASentinel) {
  CacheMaps maps = identity_maps(256, 1);
  maps.req_to_token.at<std::int32_t>(1, 128) = -1;
  maps.req_to_token.at<std::int32_t>(1, 127) = -1;  // is not the first token of its group
  const Plans p({{9, 1}, {5, 130}, {5, 130}}, maps);
  EXPECT_THAT(p.compress, ElementsAre(Row{128, 132, 128, 2, -1}));
  EXPECT_THAT(p.write, ElementsAre(kNoCompressRow, kNoCompressRow));
}

TEST(PlanPrefillOnlineReference, RefusalsNameTheArgument) {
  const CacheMaps maps = identity_maps(256, 1);
  const auto refused = [&](const Batch& batch, std::int64_t rows, const CacheMaps& m) {
    Call call = online_prefill_plan_call(batch, m);
    if (rows != batch.tokens()) give_online_plans(call, rows);
    return refusal_of(call);
  };
  const Batch good{{1, 2}, {9, 9}, {4, 4}};
  EXPECT_THAT(refused({{1, 2}, {9, 9}, {4, 0}}, 4, maps), HasSubstr("'extend_lens': [1] = 0"));
  EXPECT_THAT(refused({{1, 2}, {9, 9}, {4, 10}}, 14, maps), HasSubstr("'extend_lens': [1] = 10 must be at most"));
  EXPECT_THAT(refused(good, 9, maps), HasSubstr("'extend_lens': the sum must be"));
  EXPECT_THAT(refused(good, 7, maps), HasSubstr("'extend_lens': the sum must be"));
  EXPECT_THAT(refused(good, 65537, maps), HasSubstr("'plan_c_pin'"));
  EXPECT_THAT(refused(good, 8, identity_maps(-256, 1)), HasSubstr("'swa_page_size'"));
  Call call = online_prefill_plan_call(good, maps);
  call.arg("plan_w_dev").tensor() = HostTensor::make(DType::kU8, {9, 16});
  EXPECT_THAT(refusal_of(call), HasSubstr("'plan_w_dev'"));
}

}  // namespace
}  // namespace dsv4::testing
