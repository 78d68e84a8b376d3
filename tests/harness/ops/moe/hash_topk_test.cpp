#include <gtest/gtest.h>

#include <cmath>

#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

std::string id(const char* fill) {
  return std::string("hash_topk/tokens=5,k=6,shared=1,experts=256,vocab=1000,scale=1500,table=distinct,fill=") + fill +
         "/seed=1";
}

float& weight(Specimen& s, int t, int j) { return s.tensor("topk_weights").at<float>(t, j); }

TEST(HashTopKOp, TiersAreCallable) {
  expect_tier_is_callable("hash_topk", Tier::kSmoke);
  expect_tier_is_callable("hash_topk", Tier::kQuick);
}

TEST(HashTopKOp, AcceptsAnErrorOfAFewUlpsAndFindsALargerOne) {
  const Specimen s(id("gauss"));
  EXPECT_EQ(s.failure_after([](Specimen& m) { weight(m, 2, 3) *= 1.0f + 0x1p-23f; }), "");
  EXPECT_EQ(s.failure_after([](Specimen& m) { weight(m, 2, 3) *= 1.0f + 0x1p-20f; }), "weights");
}

TEST(HashTopKOp, FindsWrongIdsOrderAndNormalisation) {
  const Specimen s(id("gauss"));
  EXPECT_EQ(s.failure_after([](Specimen& m) { m.tensor("topk_ids").at<std::int32_t>(4, 6) = 0; }), "ids");
  EXPECT_EQ(s.failure_after([](Specimen& m) { std::swap(weight(m, 0, 0), weight(m, 0, 1)); }), "weights");
  // The next three faults are, in this order: the routed weights are multiplied by the scaling factor, the sum has an
  // added epsilon of 1e-6, and the weight of the shared expert is not inverted.
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    for (int j = 0; j < 6; ++j) weight(m, 1, j) *= 1.5f;
  }),
            "weights");
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    for (int t = 0; t < 5; ++t) {
      for (int j = 0; j < 6; ++j) weight(m, t, j) *= 1.0f - 2e-6f;
    }
  }),
            "weights");
  EXPECT_EQ(s.failure_after([](Specimen& m) { weight(m, 3, 6) = std::nextafter(weight(m, 3, 6), 0.0f); }), "weights");
}

TEST(HashTopKOp, FindsANanWhereTheReferenceHasNone) {
  EXPECT_EQ(Specimen(id("underflow")).failure_after([](Specimen& m) { weight(m, 0, 0) = std::nanf(""); }), "weights");
  EXPECT_EQ(Specimen(id("one_inf")).failure_after([](Specimen& m) { weight(m, 0, 1) = std::nanf(""); }), "weights");
  EXPECT_EQ(Specimen(id("gauss")).failure_after([](Specimen& m) { weight(m, 0, 1) = std::nanf(""); }), "weights");
}

}  // namespace
}  // namespace dsv4::testing
