#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/plan_calls.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::DecodePlan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Row> plan(std::int64_t ratio, const Batch& batch, const CacheMaps& maps) {
  return rows_of<DecodePlan>(returned(accepted(decode_plan_call(ratio, batch, maps)), 0));
}

TEST(PlanDecodeReference, KnownPlanOfRatioFour) {
  EXPECT_THAT(plan(4, {{2}, {12}, {1}}, identity_maps(256, 8)), ElementsAre(Row{12, 35, 9, 8}));
}

TEST(PlanDecodeReference, FillsEveryRowAndStopsAtTheFirstPosition) {
  // The first cache pages of requests 0, 1 and 2 are pages 0, 2 and 4. Each cache page has 8 state rows. The first
  // group of a request has no previous group. In the field for the previous group, the plan then names the first group.
  EXPECT_THAT(plan(4, {{0, 1, 2}, {1, 4, 257}, {1, 1, 1}}, identity_maps(256, 8)),
              ElementsAre(Row{1, 0, 0, 0}, Row{4, 19, 4, 4}, Row{257, 40, 9, 10}));
}

TEST(PlanDecodeReference, KnownPlanOfRatioOneHundredAndTwentyEight) {
  EXPECT_THAT(plan(128, {{3, 3}, {130, 128}, {1, 1}}, identity_maps(256, 256)),
              ElementsAre(Row{130, 1665, 12, 13}, Row{128, 1663, 12, 12}));
}

TEST(PlanDecodeReference, ARequestWhoseTokenIsNotInTheMapsHasNoToken) {
  CacheMaps maps = identity_maps(256, 8);
  const Row none{0, 0, 0, 0}, good{12, 35, 9, 8};
  EXPECT_THAT(plan(4, {{1, 1, 1, 2, 1}, {0, -1, 513, 12, std::int64_t{1} << 40}, {1, 1, 1, 1, 1}}, maps),
              ElementsAre(none, none, none, good, none));
  EXPECT_THAT(plan(4, {{-1, 8, 2}, {12, 12, 12}, {1, 1, 1}}, maps), ElementsAre(none, none, good));
  maps.req_to_token.at<std::int32_t>(2, 4) = -1;  // the first position of the previous group
  EXPECT_THAT(plan(4, {{2}, {12}, {1}}, maps), ElementsAre(Row{12, 35, 0, 8}));
  maps.req_to_token.at<std::int32_t>(2, 11) = 8 * 512;
  EXPECT_THAT(plan(4, {{2}, {12}, {1}}, maps), ElementsAre(none));
  maps.req_to_token.at<std::int32_t>(2, 11) = 5;
  maps.full_to_swa.at<std::int64_t>(5) = -1;
  EXPECT_THAT(plan(4, {{2}, {12}, {1}}, maps), ElementsAre(none));
}

TEST(PlanDecodeReference, RefusalsNameTheArgument) {
  const CacheMaps maps = identity_maps(256, 8);
  EXPECT_THAT(refusal_of(decode_plan_call(5, {{1}, {1}, {1}}, maps)), HasSubstr("'compress_ratio'"));
  EXPECT_EQ(plan(4, {}, maps).size(), 0u);
}

}  // namespace
}  // namespace dsv4::testing
