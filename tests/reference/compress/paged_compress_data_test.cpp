#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/plan_calls.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// For each request: the page that it writes, and its row of `extra`.
std::vector<Row> pages(std::int64_t ratio, const Batch& batch, const CacheMaps& maps, DType dtype = DType::kI64) {
  const CallResult result = accepted(paged_compress_data_call(ratio, batch, maps, dtype));
  const HostTensor &write = returned(result, 0), &extra = returned(result, 1);
  EXPECT_EQ(write.shape, Shape{batch.size()});
  EXPECT_EQ(extra.shape, ratio == 4 ? (Shape{batch.size(), 4}) : Shape{batch.size()});
  std::vector<Row> rows;
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    rows.push_back({write.at<std::int32_t>(b)});
    for (std::int64_t i = 0; i < extra.numel() / batch.size(); ++i)
      rows.back().push_back(extra.get<std::int32_t>(b * (extra.numel() / batch.size()) + i));
  }
  return rows;
}

TEST(PagedCompressDataReference, KnownPagesOfRatioFour) {
  // Request 2 has 6 earlier tokens and 6 new ones. Its newest group begins at position 8, the one before the new tokens
  // at position 4. Its first state page is page 8, the next group has page 9, and the third has page 8 again.
  for (const DType dtype : {DType::kI32, DType::kI64})
    EXPECT_THAT(pages(4, {{2}, {12}, {6}}, identity_maps(256, 8), dtype), ElementsAre(Row{8, 8, 9, 9, 8}));
}

TEST(PagedCompressDataReference, PositionsBelowTheFirstCountAsTheFirst) {
  // Request 1 has only new tokens. Request 0 has one new token, with which a new group begins.
  EXPECT_THAT(pages(4, {{1, 0}, {3, 5}, {3, 1}}, identity_maps(256, 8)),
              ElementsAre(Row{4, 4, 4, 4, 0}, Row{1, 0, 0, 0, 4}));
  EXPECT_THAT(pages(4, {{1}, {0}, {0}}, identity_maps(256, 8)), ElementsAre(Row{4, 4, 4, 4, 0}));
}

TEST(PagedCompressDataReference, AGroupEndsWithItsLastToken) {
  // Position 3 is the last of the first group, position 4 the first of the second. The first row of request 0 is row 0.
  EXPECT_THAT(pages(4, {{0, 0, 0}, {4, 5, 9}, {1, 1, 1}}, identity_maps(256, 8)),
              ElementsAre(Row{0, 0, 0, 0, 0}, Row{1, 0, 0, 0, 4}, Row{0, 0, 1, 1, 8}));
}

TEST(PagedCompressDataReference, KnownPagesOfRatioOneHundredAndTwentyEight) {
  EXPECT_THAT(pages(128, {{3, 3}, {130, 128}, {3, 1}}, identity_maps(256, 256)), ElementsAre(Row{13, 12}, Row{12, 12}));
}

TEST(PagedCompressDataReference, OnlineCompressionKeepsOneRowForEachCachePage) {
  // Position 256 of request 3 has slot 1792, in cache page 7. A division of this page by 128 would give page 0.
  EXPECT_THAT(pages(128, {{3, 3}, {300, 300}, {1, 100}}, identity_maps(256, 1)), ElementsAre(Row{7, 7}, Row{7, 6}));
  EXPECT_THAT(refusal_of(paged_compress_data_call(4, {{1}, {1}, {1}}, identity_maps(256, 1))),
              HasSubstr("'ring_size'"));
}

TEST(PagedCompressDataReference, TokensThatAreNotInTheMapsHavePageZero) {
  CacheMaps maps = identity_maps(256, 8);
  EXPECT_THAT(pages(4, {{-1, 8, 2}, {12, 12, 1000}, {6, 6, 994}}, maps),
              ElementsAre(Row{0, 0, 0, 0, 8}, Row{0, 0, 0, 0, 8}, Row{0, 8, 9, 0, 996}));
  EXPECT_THAT(pages(4, {{2, 2}, {-7, std::int64_t{1} << 40}, {-1, 1}}, maps),
              ElementsAre(Row{8, 8, 8, 8, 0}, Row{8, 8, 8, 8, 0}));
  EXPECT_THAT(pages(4, {{2}, {12}, {-4}}, maps), ElementsAre(Row{8, 9, 8, 9, 8}));
  maps.req_to_token.at<std::int32_t>(2, 8) = -1;
  maps.full_to_swa.at<std::int64_t>(2 * 512 + 4) = -1;
  EXPECT_THAT(pages(4, {{2}, {12}, {6}}, maps), ElementsAre(Row{0, 8, 0, 0, 8}));
}

TEST(PagedCompressDataReference, RefusalsNameTheArgument) {
  const CacheMaps maps = identity_maps(256, 8);
  EXPECT_THAT(refusal_of(paged_compress_data_call(5, {{1}, {1}, {1}}, maps)), HasSubstr("'compress_ratio'"));
  EXPECT_THAT(refusal_of(paged_compress_data_call(4, {{1}, {1, 2}, {1}}, maps)), HasSubstr("'seq_lens'"));
  EXPECT_THAT(refusal_of(paged_compress_data_call(4, {{1}, {1}, {1, 1}}, maps)), HasSubstr("'extend_lens'"));
  EXPECT_THAT(refusal_of(paged_compress_data_call(4, {{1}, {1}, {1}}, identity_maps(256, 6))),
              HasSubstr("'ring_size'"));
}

}  // namespace
}  // namespace dsv4::testing
