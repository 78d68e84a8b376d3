#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/plan_calls.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using layout::DecodePlan;
using ::testing::HasSubstr;

TEST(PlanDecodeLegacyReference, RowsLieInTheRingOfTheRequest) {
  const auto legacy = [](std::int64_t ratio, std::int64_t id, std::int64_t length) {
    return rows_of<DecodePlan>(returned(accepted(legacy_decode_plan_call(ratio, {{id}, {length}, {1}})), 0)).at(0);
  };
  EXPECT_EQ(legacy(4, 2, 12), (Row{12, 19, 5, 4}));
  EXPECT_EQ(legacy(4, 2, 1), (Row{1, 16, 4, 4}));
  EXPECT_EQ(legacy(4, 0, 8), (Row{8, 7, 0, 1}));
  EXPECT_EQ(legacy(128, 3, 130), (Row{130, 385, 3, 3}));
  for (const std::int64_t length : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31}) {
    EXPECT_EQ(legacy(4, 2, length), (Row{0, 0, 0, 0})) << length;
  }
  for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{1} << 28, std::int64_t{1} << 40}) {
    EXPECT_EQ(legacy(4, id, 12), (Row{0, 0, 0, 0})) << id;
  }
}

TEST(PlanDecodeLegacyReference, RefusalsNameTheArgument) {
  EXPECT_THAT(refusal_of(legacy_decode_plan_call(5, {{1}, {1}, {1}})), HasSubstr("'compress_ratio'"));
}

}  // namespace
}  // namespace dsv4::testing
