#include <gtest/gtest.h>

#include <algorithm>

#include "harness/generate/random.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

constexpr const char* kFlash =
    "fused_store_cache/layout=flashmla,input=bf16,index=i32,page=64,tokens=5,spare=1,order=ascending,fill=gauss/seed=1";
constexpr const char* kIndexer =
    "fused_store_cache/layout=indexer,input=f32,index=i64,page=64,tokens=5,spare=1,order=ascending,fill=gauss/seed=1";

/// Returns the byte offset of the data of `slot` in the cache. The slot must be in page 0, which has 64 slots.
std::size_t data_at(std::int64_t slot, std::int64_t row_bytes) { return static_cast<std::size_t>(slot * row_bytes); }

std::int64_t first_slot(const Specimen& s) {
  const HostTensor& indices = s.call.tensor("indices");
  return indices.dtype == DType::kI64 ? indices.at<std::int64_t>(0) : indices.at<std::int32_t>(0);
}

TEST(FusedStoreCacheOp, TiersAreCallable) {
  expect_tier_is_callable("fused_store_cache", Tier::kSmoke);
  expect_tier_is_callable("fused_store_cache", Tier::kQuick);
}

TEST(FusedStoreCacheOp, EveryStoredByteIsCompared) {
  const Specimen flash(kFlash);
  const std::int64_t slot = first_slot(flash);
  ASSERT_LT(slot, 64);
  const auto flip = [](std::size_t at) { return [at](Specimen& m) { m.tensor("cache").storage[at] ^= 1; }; };
  for (std::size_t i = 0; i < 576; ++i) {
    EXPECT_EQ(flash.failure_after(flip(data_at(slot, 576) + i)), i < 448 ? "codes" : "tail") << i;
  }
  for (std::size_t g = 0; g < 7; ++g) {
    EXPECT_EQ(flash.failure_after(flip(36864 + data_at(slot, 8) + g)), "scales") << g;
  }
  const Specimen indexer(kIndexer);
  const std::int64_t other = first_slot(indexer);
  ASSERT_LT(other, 64);
  for (std::size_t i = 0; i < 128; ++i) EXPECT_EQ(indexer.failure_after(flip(data_at(other, 128) + i)), "codes");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(indexer.failure_after(flip(8192 + data_at(other, 4) + i)), "scales");
}

TEST(FusedStoreCacheOp, TheFootprintIsTheBytesOfTheSlotsAndNothingElse) {
  for (const auto& [id, bytes] : {std::pair{kFlash, 576 + 7}, std::pair{kIndexer, 128 + 4}}) {
    const Specimen s(id);
    const auto& footprint = s.call.arg("cache").footprint;
    EXPECT_EQ(footprint.size(), s.call.tensor("cache").storage.size());
    EXPECT_EQ(std::count(footprint.begin(), footprint.end(), 1), 5 * bytes);
  }
  const Specimen flash(kFlash);
  EXPECT_EQ(flash.call.arg("cache").footprint[36864 + data_at(first_slot(flash), 8) + 7], 0);  // byte 7 of the scales
  EXPECT_EQ(flash.call.arg("cache").footprint[37440 - 1], 0);                                  // the page's padding
}

TEST(FusedStoreCacheOp, SlotsAreDistinctAndInTheCache) {
  for (const char* order : {"random", "ascending", "descending", "edges"}) {
    const Specimen s(
        std::string("fused_store_cache/layout=indexer,input=f32,index=i64,page=4,tokens=9,spare=0,order=") + order +
        ",fill=gauss/seed=1");
    std::vector<std::int64_t> slots;
    for (int t = 0; t < 9; ++t) slots.push_back(s.call.tensor("indices").at<std::int64_t>(t));
    if (std::string(order) == "edges") {
      EXPECT_EQ(slots[0], 0);
    }
    std::ranges::sort(slots);
    EXPECT_TRUE(std::ranges::adjacent_find(slots) == slots.end());
    EXPECT_GE(slots.front(), 0);
    EXPECT_LT(slots.back(), 12);
  }
}

}  // namespace
}  // namespace dsv4::testing
