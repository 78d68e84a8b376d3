#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/online_plans.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::DecodePlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Row> plan(const Batch& batch, const CacheMaps& maps) {
  return rows_of<DecodePlan>(accepted(online_decode_plan_call(batch, maps)).tensor("plan_d"));
}

TEST(PlanDecodeOnlineReference, TheSlotIsThePageOfTheFirstTokenOfTheGroup) {
  // Position q of request r has slot 512 r + q, so a page of 256 holds two groups. Position 256 begins a new page.
  const Batch batch{{0, 3, 3, 2, 2}, {1, 128, 130, 256, 257}, {1, 1, 1, 1, 1}};
  EXPECT_THAT(plan(batch, identity_maps(256, 1)), ElementsAre(Row{1, 0, 0, -1}, Row{128, 6, 6, -1}, Row{130, 6, 6, -1},
                                                              Row{256, 4, 4, -1}, Row{257, 5, 5, -1}));
}

TEST(PlanDecodeOnlineReference, AGroupStaysInItsSlotWhenItPassesTheEndOfAPage) {
  // A page has 64 tokens. All tokens of the group 128 ... 255 of request 1 have the page of position 128.
  const Batch batch{{1, 1, 1, 1}, {129, 192, 193, 256}, {1, 1, 1, 1}};
  EXPECT_THAT(plan(batch, identity_maps(64, 1)),
              ElementsAre(Row{129, 10, 10, -1}, Row{192, 10, 10, -1}, Row{193, 10, 10, -1}, Row{256, 10, 10, -1}));
}

TEST(PlanDecodeOnlineReference, OnlyTheFirstTokenOfTheGroupIsLookedUp) {
  CacheMaps maps = identity_maps(256, 1);
  maps.req_to_token.at<std::int32_t>(2, 129) = -1;
  EXPECT_THAT(plan({{2}, {130}, {1}}, maps), ElementsAre(Row{130, 4, 4, -1}));
  maps.req_to_token.at<std::int32_t>(2, 128) = 7;
  EXPECT_THAT(plan({{2}, {130}, {1}}, maps), ElementsAre(Row{130, 0, 0, -1}));
}

TEST(PlanDecodeOnlineReference, ARequestWhoseGroupIsNotInTheMapsHasNoToken) {
  CacheMaps maps = identity_maps(256, 1);
  const Row none{0, 0, 0, 0}, good{12, 4, 4, -1};
  EXPECT_THAT(plan({{1, 1, 1, 2, 1}, {0, -1, 513, 12, std::int64_t{1} << 40}, {1, 1, 1, 1, 1}}, maps),
              ElementsAre(none, none, none, good, none));
  EXPECT_THAT(plan({{-1, 8, 2}, {12, 12, 12}, {1, 1, 1}}, maps), ElementsAre(none, none, good));
  maps.req_to_token.at<std::int32_t>(2, 0) = 8 * 512;
  EXPECT_THAT(plan({{2}, {12}, {1}}, maps), ElementsAre(none));
  maps.req_to_token.at<std::int32_t>(2, 0) = 5;
  maps.full_to_swa.at<std::int64_t>(5) = -1;
  EXPECT_THAT(plan({{2}, {12}, {1}}, maps), ElementsAre(none));
}

// The maps have the 130 first positions of each request, so they have the token at 128.
TEST(PlanDecodeOnlineReference, ATokenAfterTheEndOfTheMapsHasTheSlotOfItsGroup) {
  CacheMaps maps = identity_maps(256, 1);
  const HostTensor all = maps.req_to_token;
  maps.req_to_token = HostTensor::make(DType::kI32, {all.size(0), 130});
  for (std::int64_t request = 0; request < all.size(0); ++request) {
    for (std::int64_t p = 0; p < 130; ++p)
      maps.req_to_token.at<std::int32_t>(request, p) = all.at<std::int32_t>(request, p);
  }
  EXPECT_THAT(plan({{3, 3, 3}, {130, 131, 257}, {1, 1, 1}}, maps),
              ElementsAre(Row{130, 6, 6, -1}, Row{131, 6, 6, -1}, Row{0, 0, 0, 0}));
}

TEST(PlanDecodeOnlineReference, RefusalsNameTheArgument) {
  const Batch batch{{1}, {12}, {1}};
  EXPECT_THAT(refusal_of(online_decode_plan_call(batch, identity_maps(0, 1))), HasSubstr("'swa_page_size'"));
  Call call = online_decode_plan_call(batch, identity_maps(256, 1));
  call.arg("plan_d").tensor() = HostTensor::make(DType::kU8, {2, 16});
  EXPECT_THAT(refusal_of(call), HasSubstr("'plan_d'"));
}

}  // namespace
}  // namespace dsv4::testing
