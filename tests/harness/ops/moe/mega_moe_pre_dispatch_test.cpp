#include <gtest/gtest.h>

#include <algorithm>

#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

Specimen specimen(const char* sizes = "tokens=3,spare=2,hidden=512,k=6", const char* buffer = "i8") {
  return Specimen(std::string("mega_moe_pre_dispatch/group=32,buffer=") + buffer + "," + sizes +
                  ",routing=edges,fill=gauss/seed=1");
}

TEST(MegaMoeOp, TiersAreCallable) {
  expect_tier_is_callable("mega_moe_pre_dispatch", Tier::kSmoke);
  expect_tier_is_callable("mega_moe_pre_dispatch", Tier::kQuick);
}

TEST(MegaMoeOp, FindsEachWrongBitOfATokensSlot) {
  for (const char* buffer : {"i8", "e4m3"}) {
    const Specimen s = specimen("tokens=3,spare=2,hidden=512,k=6", buffer);
    for (const std::size_t byte : {0, 511, 512, 3 * 512 - 1}) {
      EXPECT_EQ(s.failure_after([byte](Specimen& m) { m.tensor("buf_x").storage[byte] ^= 1; }), "codes") << byte;
    }
    for (const std::size_t byte : {0, 15, 16, 47}) {
      EXPECT_EQ(s.failure_after([byte](Specimen& m) { m.tensor("buf_x_sf").storage[byte] ^= 1; }), "scales") << byte;
    }
  }
}

// Slots without a token have a routing, but codes and scales of their memory do not matter.
TEST(MegaMoeOp, ComparesTheRoutingOfAllSlots) {
  const Specimen s = specimen();
  for (const std::int64_t slot : {0, 2, 3, 4}) {
    EXPECT_EQ(s.failure_after([slot](Specimen& m) { m.tensor("buf_topk_idx").at<std::int64_t>(slot, 5) ^= 1LL << 40; }),
              "ids");
    const auto byte = static_cast<std::size_t>(4 * (slot * 6 + 5));
    EXPECT_EQ(s.failure_after([byte](Specimen& m) { m.tensor("buf_topk_weights").storage[byte] ^= 1; }), "weights");
  }
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    m.tensor("buf_x").storage[3 * 512] ^= 1;  // a change that only the footprint check finds
    m.tensor("buf_x_sf").storage[48] ^= 1;
  }),
            "");
}

TEST(MegaMoeOp, TheFootprintIsTheSlotsOfTheTokens) {
  const auto share = [](const char* sizes, const char* argument) {
    const std::vector<std::uint8_t> footprint = specimen(sizes).call.arg(argument).footprint;
    EXPECT_TRUE(std::ranges::is_sorted(footprint, std::greater<>()));
    return std::ranges::count(footprint, 1);
  };
  EXPECT_EQ(share("tokens=3,spare=2,hidden=512,k=6", "buf_x"), 3 * 512);
  EXPECT_EQ(share("tokens=3,spare=2,hidden=512,k=6", "buf_x_sf"), 3 * 16);
  EXPECT_EQ(share("tokens=0,spare=2,hidden=512,k=6", "buf_x"), 0);
  EXPECT_EQ(share("tokens=3,spare=0,hidden=128,k=6", "buf_x_sf"), 3 * 4);
}

// The weights of a case with edges have NaN, whose payload must be copied.
TEST(MegaMoeOp, WeightsWithAnotherPayloadAreFound) {
  const Specimen s = specimen("tokens=128,spare=0,hidden=512,k=16");
  int found = 0;
  for (std::int64_t i = 0; i < 128 * 16; ++i) {
    const float weight = s.call.tensor("topk_weights").data<float>()[i];
    if (weight == weight) continue;
    ++found;
    EXPECT_EQ(s.failure_after(
                  [i](Specimen& m) { m.tensor("buf_topk_weights").storage[static_cast<std::size_t>(4 * i)] ^= 1; }),
              "weights");
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace dsv4::testing
