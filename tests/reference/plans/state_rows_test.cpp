#include "reference/plans/state_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace dsv4::plans {
namespace {

TEST(CacheRings, KnownRows) {
  CacheRings rings(256, 8);
  EXPECT_EQ(rings.row_of(0), 0);
  EXPECT_EQ(rings.row_of(7), 7);
  EXPECT_EQ(rings.row_of(8), 0);  // the ring of page 0 starts again
  EXPECT_EQ(rings.row_of(255), 7);
  EXPECT_EQ(rings.row_of(256), 8);        // the ring of page 1
  EXPECT_EQ(rings.row_of(1024 + 9), 33);  // page 4 has rows 32 ... 39
  EXPECT_EQ(rings.row_of(3), 3);          // a page before that of the last call
  EXPECT_EQ(CacheRings(256, 256).row_of(1663), 1663);
  EXPECT_EQ(CacheRings(256, 128).row_of(1664), 768);
  EXPECT_EQ(rings.row_of(-1), -1);  // no slot has no row
}

// Deals one row to one slot after another, and keeps every row in a map.
TEST(CacheRings, AgreeWithAMapFromSlotToRow) {
  for (const auto& [page, ring] : std::vector<std::pair<int, int>>{{16, 8}, {16, 16}, {128, 128}, {256, 8}, {8, 4}}) {
    std::map<std::int64_t, std::int64_t> row_of;
    std::int64_t first = 0;
    for (std::int64_t slot = 0; slot < 9 * page; first += ring) {
      std::vector<std::int64_t> ring_rows;
      for (std::int64_t r = 0; r < ring; ++r) ring_rows.push_back(first + r);
      for (std::size_t i = 0; i < static_cast<std::size_t>(page); ++i) row_of[slot++] = ring_rows[i % ring_rows.size()];
    }
    CacheRings forward(page, ring), backward(page, ring), shuffled(page, ring);
    for (const auto& [slot, row] : row_of) ASSERT_EQ(forward.row_of(slot), row) << page << " " << ring << " " << slot;
    for (auto it = row_of.rbegin(); it != row_of.rend(); ++it) ASSERT_EQ(backward.row_of(it->first), it->second);
    for (std::int64_t i = 0; i < 9 * page; ++i) {
      const std::int64_t slot = i * 7919 % (9 * page);
      ASSERT_EQ(shuffled.row_of(slot), row_of[slot]);
    }
  }
}

TEST(RequestRings, KnownRows) {
  RequestRings four(4), many(128);
  EXPECT_EQ(four.row_of(2, 11), 19);
  EXPECT_EQ(four.row_of(2, 7), 23);  // back in the same request
  EXPECT_EQ(four.row_of(2, 8), 16);  // on to the start of the ring
  EXPECT_EQ(four.row_of(0, 0), 0);
  EXPECT_EQ(many.row_of(3, 129), 385);
  EXPECT_EQ(many.row_of(3, 127), 511);
}

// Upstream states the rows in words (sglang 0.5.13, c_plan.cuh:372-374). At ratio 4: page = rid * 2 + (position / 4) %
// 2 and slot = page * 4 + position % 4. At ratio 128: page = rid and slot = rid * 128 + position % 128.
TEST(RequestRings, AgreeWithUpstreamsWords) {
  for (const std::int64_t request : {5, 0, 17}) {
    RequestRings four(4), many(128);
    for (std::int64_t i = 0; i < 1000; ++i) {
      const std::int64_t position = i * 37 % 1000;
      ASSERT_EQ(four.row_of(request, position), (request * 2 + position / 4 % 2) * 4 + position % 4);
      ASSERT_EQ(many.row_of(request, position), request * 128 + position % 128);
    }
  }
}

TEST(RequestRings, TheWindowOfAnEntryHasDistinctRows) {
  for (const std::int64_t ratio : {4, 128}) {
    const std::int64_t window = ratio == 4 ? 8 : 128;
    for (std::int64_t last = window - 1; last < 4 * window; ++last) {
      RequestRings rings(ratio);
      std::set<std::int64_t> rows;
      for (std::int64_t position = last - window + 1; position <= last; ++position) {
        rows.insert(rings.row_of(6, position));
      }
      ASSERT_EQ(rows.size(), static_cast<std::size_t>(window));
    }
  }
}

}  // namespace
}  // namespace dsv4::plans
