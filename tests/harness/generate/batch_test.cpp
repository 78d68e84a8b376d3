#include "harness/generate/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace dsv4 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CacheMaps, KeepPlacesInPagesAndShareNoRow) {
  const CacheMaps maps = make_maps(Batch{{4, 0, 2}, {300, 257, 1}, {}}, {.pool = 6, .ring_size = 256}, 7);
  EXPECT_EQ(maps.swa_pages, 6);  // two pages, two, one, and the padding page
  std::set<std::int64_t> rows;
  for (const auto& [id, length] : {std::pair{4, 300}, std::pair{0, 257}, std::pair{2, 1}}) {
    for (std::int64_t p = 0; p < length; ++p) {
      const std::int64_t row = maps.row(id, p);
      EXPECT_EQ(row % 128, p % 128);
      EXPECT_GE(row, 256);  // page 0 belongs to no request
      EXPECT_LT(row, maps.rows());
      EXPECT_TRUE(rows.insert(row).second);
    }
  }
  EXPECT_EQ(maps.full_to_swa.at<std::int64_t>(maps.full_to_swa.numel() - 1), -1);
}

TEST(MakeBatch, FollowsItsParameters) {
  Params p{{"batch", "7"}, {"len", "20"}, {"spread", "stagger"}, {"extend", "5"}, {"mix", "some_empty"}};
  const Batch batch = make_batch(p, 3);
  EXPECT_EQ(batch.seq_lens, (std::vector<std::int64_t>{20, 21, 22, 23, 24, 25, 26}));
  EXPECT_EQ(batch.extend_lens[1], 0);
  EXPECT_EQ(batch.extend_lens[4], 0);
  EXPECT_EQ(std::set<std::int64_t>(batch.request_ids.begin(), batch.request_ids.end()).size(), 7u);
  p.set("mix", "last_differs");
  EXPECT_EQ(make_batch(p, 3).extend_lens, (std::vector<std::int64_t>{5, 5, 5, 5, 5, 5, 6}));
  EXPECT_EQ(std::ssize(tokens_of(make_batch(p, 3))), 36);
}

TEST(Tokens, ComeRequestAfterRequest) {
  const auto tokens = tokens_of({{7, 3}, {5, 9}, {2, 1}});
  ASSERT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens[1].row, 1);
  EXPECT_EQ(tokens[1].id, 7);
  EXPECT_EQ(tokens[1].position, 4);
  EXPECT_EQ(tokens[1].prefix, 3);
  EXPECT_EQ(tokens[2].request, 1);
  EXPECT_EQ(tokens[2].id, 3);
  EXPECT_EQ(tokens[2].position, 8);
  EXPECT_EQ(tokens[2].seq_len, 9);
}

TEST(GrowingBatch, GivesTheBatchOfEachStep) {
  GrowingBatch requests({{4, 1}, {1, 1}, {1, 1}}, 12, {{"ring", "8"}}, 5);
  EXPECT_THAT(requests.lengths(), ElementsAre(0, 0));
  EXPECT_EQ(requests.maps().req_to_token.shape, (Shape{5, 12}));
  Batch step = requests.grow({6, 0});
  EXPECT_THAT(step.request_ids, ElementsAre(4));
  EXPECT_THAT(step.seq_lens, ElementsAre(6));
  EXPECT_THAT(step.extend_lens, ElementsAre(6));
  requests.take_back(0, 2);
  step = requests.grow(1);
  EXPECT_THAT(step.request_ids, ElementsAre(4, 1));
  EXPECT_THAT(step.seq_lens, ElementsAre(5, 1));
  EXPECT_THAT(step.prefixes(), ElementsAre(4, 0));
}

TEST(GrowingBatch, ReachesAGoalInChunks) {
  const std::vector<std::int64_t> goal{12, 3};
  GrowingBatch requests({{0, 1}, goal, {1, 1}}, 12, {{"ring", "8"}}, 5);
  Random random(1, "chunks");
  for (auto extend = requests.next_chunk(goal, 4, random); !extend.empty();
       extend = requests.next_chunk(goal, 4, random)) {
    for (const std::int64_t n : extend) EXPECT_LE(n, 4);
    EXPECT_GT(requests.grow(extend).tokens(), 0);
  }
  EXPECT_EQ(requests.lengths(), goal);
  EXPECT_THAT(requests.next_chunk(goal, 4, random), IsEmpty());
}

}  // namespace
}  // namespace dsv4
