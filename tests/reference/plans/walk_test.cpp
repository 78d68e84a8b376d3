#include "reference/plans/walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace dsv4::plans {
namespace {

using ::testing::ElementsAre;

std::vector<WalkedToken> walked(const std::vector<Request>& batch, const Grouping& grouping) {
  std::vector<WalkedToken> tokens;
  walk(batch, grouping, [&](const WalkedToken& token) { tokens.push_back(token); });
  return tokens;
}

template <class Select>
std::vector<std::int64_t> positions(const std::vector<WalkedToken>& tokens, Select select) {
  std::vector<std::int64_t> found;
  for (const WalkedToken& token : tokens) {
    if (select(token)) found.push_back(token.position);
  }
  return found;
}

TEST(Walk, NumbersTheNewTokensRequestAfterRequest) {
  const auto tokens = walked({{7, 5, 2}, {3, 4, 0}, {9, 1, 1}}, grouping_of(4));
  ASSERT_EQ(tokens.size(), 3u);
  const auto place = [&](std::size_t i) {
    return std::vector<std::int64_t>{tokens[i].request, tokens[i].row, tokens[i].position, tokens[i].followers};
  };
  EXPECT_THAT(place(0), ElementsAre(0, 0, 3, 1));
  EXPECT_THAT(place(1), ElementsAre(0, 1, 4, 0));
  EXPECT_THAT(place(2), ElementsAre(2, 2, 0, 0));  // request 1 has no new token
}

TEST(Walk, NamesTheGroupAndTheGroupBefore) {
  const auto tokens = walked({{0, 10, 10}}, grouping_of(4));
  const auto all = [&](std::int64_t WalkedToken::*field) {
    std::vector<std::int64_t> values;
    for (const WalkedToken& token : tokens) values.push_back(token.*field);
    return values;
  };
  EXPECT_THAT(all(&WalkedToken::group), ElementsAre(0, 0, 0, 0, 4, 4, 4, 4, 8, 8));
  EXPECT_THAT(all(&WalkedToken::group_before), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 4, 4));
  EXPECT_THAT(positions(tokens, [](auto& t) { return t.completes; }), ElementsAre(3, 7));
  // The window of 8 places that ends at position 0 has 7 places before the batch.
  EXPECT_THAT(all(&WalkedToken::window_before), ElementsAre(7, 6, 5, 4, 3, 2, 1, 0, 0, 0));
}

TEST(Walk, KnowsWhatLaterEntriesRead) {
  const auto live = [](std::int64_t length, std::int64_t fresh, const Grouping& grouping) {
    return positions(walked({{0, length, fresh}}, grouping), [](auto& t) { return t.live; });
  };
  EXPECT_THAT(live(10, 10, grouping_of(4)), ElementsAre(4, 5, 6, 7, 8, 9));
  EXPECT_THAT(live(10, 3, grouping_of(4)), ElementsAre(7, 8, 9));
  EXPECT_THAT(live(12, 12, grouping_of(4)), ElementsAre(8, 9, 10, 11));
  EXPECT_THAT(live(3, 3, grouping_of(4)), ElementsAre(0, 1, 2));
  EXPECT_THAT(live(130, 4, grouping_of(128)), ElementsAre(128, 129));
  EXPECT_THAT(live(7, 7, {3, false, 0}), ElementsAre(6));  // V1 plans allow any ratio
  EXPECT_THAT(live(7, 7, {3, true, 0}), ElementsAre(3, 4, 5, 6));
}

TEST(Walk, KnowsTheEndsOfCachePages) {
  const auto ends = [](const Grouping& grouping) {
    return positions(walked({{0, 34, 34}}, grouping), [](auto& t) { return t.ends_page; });
  };
  EXPECT_THAT(ends(grouping_of(4, 16)), ElementsAre(12, 13, 14, 15, 28, 29, 30, 31));
  EXPECT_TRUE(ends(grouping_of(4)).empty());
  EXPECT_TRUE(ends(grouping_of(128, 16)).empty());  // only entries of ratio 4 read the group before a page
}

// What a request's later entries read, found by making those entries: each reads the places of its own window.
TEST(Walk, LivePositionsAreTheWindowsOfAllLaterEntries) {
  for (const Grouping& grouping : {Grouping{4, true, 0}, {128, false, 0}, {3, true, 0}, {5, false, 0}, {1, true, 0}}) {
    const std::int64_t window = grouping.ratio * (grouping.overlap ? 2 : 1);
    for (std::int64_t length = 1; length <= 300; ++length) {
      std::vector<bool> read(static_cast<std::size_t>(length), false);
      for (std::int64_t last = length; last < length + 2 * window; ++last) {
        if ((last + 1) % grouping.ratio != 0) continue;
        for (std::int64_t q = std::max<std::int64_t>(last - window + 1, 0); q < length; ++q) {
          read[static_cast<std::size_t>(q)] = true;
        }
      }
      for (const WalkedToken& token : walked({{0, length, length}}, grouping)) {
        ASSERT_EQ(token.live, read[static_cast<std::size_t>(token.position)])
            << "ratio " << grouping.ratio << ", length " << length << ", position " << token.position;
      }
    }
  }
}

}  // namespace
}  // namespace dsv4::plans
