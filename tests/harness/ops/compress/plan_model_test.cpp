#include "harness/ops/compress/plan_model.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

TEST(Keep, NamesEveryReason) {
  EXPECT_TRUE(keep_of(4, 10, 4, 0, 0).live);
  EXPECT_FALSE(keep_of(3, 10, 4, 0, 0).any());
  EXPECT_TRUE(keep_of(126, 130, 128, 4, 0).pad);
  EXPECT_FALSE(keep_of(125, 130, 128, 4, 0).any());
  EXPECT_TRUE(keep_of(252, 400, 4, 0, 256).tail);
  EXPECT_FALSE(keep_of(251, 400, 4, 0, 256).any());
}

TEST(PlanCounts, CountEntriesAndKeptRows) {
  const Batch batch{{1, 2}, {9, 40}, {9, 3}};
  const PlanCounts n = plan_counts(batch, 4, 0);
  EXPECT_EQ(n.compress, 3);   // positions 3 and 7 of the first request, 39 of the second
  EXPECT_EQ(n.write, 5 + 3);  // positions 4 ... 8 of the first request, all three of the second
}

}  // namespace
}  // namespace dsv4
