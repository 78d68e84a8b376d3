#include "harness/ops/compress/walked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dsv4 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LivePositions, AreThoseThatTheNextEntryReads) {
  // The entry at position 11 reads positions 4 ... 11, and the entry at position 15 reads 8 ... 15.
  EXPECT_THAT(live_positions(10, 4), ElementsAre(4, 5, 6, 7, 8, 9));
  EXPECT_THAT(live_positions(11, 4), ElementsAre(4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(live_positions(12, 4), ElementsAre(8, 9, 10, 11));
  EXPECT_THAT(live_positions(3, 4), ElementsAre(0, 1, 2));
  EXPECT_THAT(live_positions(130, 128), ElementsAre(128, 129));
  EXPECT_THAT(live_positions(128, 128), IsEmpty());
  EXPECT_THAT(live_positions(0, 4), IsEmpty());
}

TEST(CountedRecords, CountEntriesAndKeptRows) {
  const auto records = counted_records({{1, 2}, {9, 40}, {9, 3}}, 4, {});
  EXPECT_EQ(records.compress.size(), 3u);    // positions 3 and 7 of the first request, 39 of the second
  EXPECT_EQ(records.write.size(), 5u + 3u);  // positions 4 ... 8 of the first request, all three of the second
}

}  // namespace
}  // namespace dsv4
