#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

constexpr const char* kId =
    "fused_rope/"
    "tokens=5,q_heads=8,k_heads=1,layout=gaps,index=i32,inverse=0,table=300,angles=circle,at=random,fill=gauss/"
    "seed=1";

TEST(FusedRopeOp, TiersAreCallable) {
  expect_tier_is_callable("fused_rope", Tier::kSmoke);
  expect_tier_is_callable("fused_rope", Tier::kQuick);
}

TEST(FusedRopeOp, FindsOneWrongBit) {
  const Specimen s(kId);
  EXPECT_EQ(s.failure_after([](Specimen& m) { m.tensor("q").at<std::uint16_t>(4, 7, 63) ^= 1; }), "q");
  EXPECT_EQ(s.failure_after([](Specimen& m) { m.tensor("k").at<std::uint16_t>(0, 0, 0) ^= 1; }), "k");
}

TEST(FusedRopeOp, FindsAnUnrotatedHeadAndASwappedPair) {
  const Specimen s(kId);
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    for (int d = 0; d < 64; ++d)
      m.tensor("q").at<std::uint16_t>(2, 3, d) = m.call.tensor("q").at<std::uint16_t>(2, 3, d);
  }),
            "q");
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    std::swap(m.tensor("q").at<std::uint16_t>(1, 1, 10), m.tensor("q").at<std::uint16_t>(1, 1, 11));
  }),
            "q");
}

TEST(FusedRopeOp, AcceptsAnyNanForANanButNoNumber) {
  const Specimen s(
      "fused_rope/tokens=9,q_heads=8,k_heads=0,layout=packed,index=i64,inverse=1,table=300,angles=circle,at=random,"
      "fill=special/seed=1");
  const HostTensor& q = s.result.tensor("q");
  std::int64_t nan = 0;
  while (q.get<std::uint16_t>(nan) != 0x7fff) ++nan;
  EXPECT_EQ(s.failure_after([nan](Specimen& m) { set_float(m.tensor("q"), nan, 1.0); }), "q");
  for (const std::uint16_t other : {0x7fc0, 0xffc0, 0x7f81}) {
    EXPECT_EQ(s.failure_after([&](Specimen& m) { m.tensor("q").set(nan, other); }), "");
  }
  std::int64_t number = 0;
  while (q.get<std::uint16_t>(number) == 0x7fff) ++number;
  EXPECT_EQ(s.failure_after([number](Specimen& m) { set_float(m.tensor("q"), number, std::nan("")); }), "q");
}

TEST(FusedRopeOp, GapsBetweenHeadsAreOutsideTheFootprint) {
  const Specimen s(kId);
  const auto mask = s.call.tensor("q").view_mask();
  EXPECT_TRUE(s.call.arg("q").footprint.empty());  // an empty footprint allows writes to the whole view
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 5 * 8 * 64 * 2);
  EXPECT_GT(mask.size(), 5u * 8 * 64 * 2);
}

}  // namespace
}  // namespace dsv4::testing
