#include "reference/plans/records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "reference/plans/state_rows.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::plans {
namespace {

using testing::Row;
using testing::row_of;

/// Sliding-window slot of a token of a test: request r has slots from 512 r on.
auto rows_in_cache(std::int64_t page_size, std::int64_t ring_size) {
  return [rings = CacheRings(page_size, ring_size)](std::int64_t id, std::int64_t position) mutable {
    return rings.row_of(512 * id + position);
  };
}

template <class Record>
std::vector<Row> all(const std::vector<Record>& records) {
  std::vector<Row> rows;
  for (const Record& record : records) rows.push_back(row_of(record));
  return rows;
}

// Worked by hand. Page 0 of request 2 is cache page 4, whose ring has state rows 32 ... 39.
TEST(PlanRecords, KnownPrefillPlans) {
  const auto four = prefill_records({{2, 7, 4}, {1, 261, 6}}, 4, {last_kept(8, 4), 256}, rows_in_cache(256, 8));
  EXPECT_EQ(all(four.compress), (std::vector<Row>{{4, 0, 7, 8, 8}, {256, 4, 7, 4, 5}, {260, 8, 3, 5, 6}}));
  EXPECT_EQ(
      all(four.write),
      (std::vector<Row>{{0, 35}, {1, 36}, {2, 37}, {3, 38}, {4, 23}, {5, 24}, {6, 25}, {7, 26}, {8, 27}, {9, 28}}));
  const auto many = prefill_records({{3, 130, 4}}, 128, {last_kept(256, 128), 256}, rows_in_cache(256, 256));
  EXPECT_EQ(all(many.compress), (std::vector<Row>{{128, 1, 126, 12, 12}}));
  EXPECT_EQ(all(many.write), (std::vector<Row>{{0, 1662}, {1, 1663}, {2, 1664}, {3, 1665}}));
}

TEST(PlanRecords, KnownDecodePlans) {
  EXPECT_EQ(all(decode_records({{2, 12, 1}, {0, 1, 1}, {1, 257, 1}}, 4, rows_in_cache(256, 8))),
            (std::vector<Row>{{12, 35, 9, 8}, {1, 0, 0, 0}, {257, 24, 5, 6}}));
  EXPECT_EQ(all(decode_records({{3, 130, 1}, {3, 128, 1}}, 128, rows_in_cache(256, 256))),
            (std::vector<Row>{{130, 1665, 12, 13}, {128, 1663, 12, 12}}));
}

TEST(PlanRecords, TheLastTokensStayIfTheRingHasRoom) {
  EXPECT_EQ(last_kept(8, 4), 4);
  EXPECT_EQ(last_kept(128, 128), 0);
  EXPECT_EQ(last_kept(256, 128), 4);
}

/// Which token's row each state row holds.
using Holds = std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>>;

// Prefills requests in chunks of all sizes, and keeps a map from state row to token. Each entry must find the tokens of
// its window: those before the batch in the state, the others in the batch.
TEST(PlanRecords, EntriesFindTheTokensOfTheirWindows) {
  for (const std::int64_t ratio : {4, 128}) {
    const std::int64_t window = ratio == 4 ? 8 : 128, page = 256, ring = ratio == 4 ? 8 : 128;
    for (std::int64_t chunk = 1; chunk <= 300; chunk += ratio == 4 ? 1 : 13) {
      Holds holds;
      auto rows = rows_in_cache(page, ring);
      std::int64_t entries = 0;
      for (std::int64_t length = chunk; length <= 512; length += chunk) {
        const std::vector<Request> batch{{0, length, chunk}, {3, length, chunk}};
        const auto plans = prefill_records(batch, ratio, {last_kept(ring, ratio), page}, rows);
        for (const layout::CompressPlan& e : plans.compress) {
          const std::int64_t id = e.ragged_id < chunk ? 0 : 3;
          ASSERT_EQ(e.ragged_id % chunk, e.seq_len - 1 - (length - chunk));
          for (std::int64_t i = 0; i < e.buffer_len; ++i) {
            const std::int64_t position = e.seq_len - window + i;
            if (position < 0) continue;
            const std::int64_t page_of = ratio == 4 && i < 4 ? e.read_page_0 : e.read_page_1;
            ASSERT_EQ(holds[page_of * ratio + i % ratio], std::pair(id, position)) << chunk << " " << length;
          }
          ASSERT_EQ(e.seq_len - window + e.buffer_len, std::max(length - chunk, std::int64_t{e.seq_len} - window));
          ++entries;
        }
        for (const layout::WritePlan& w : plans.write) {
          const std::int64_t id = w.ragged_id < chunk ? 0 : 3;
          holds[w.write_loc] = {id, length - chunk + w.ragged_id % chunk};
        }
      }
      ASSERT_EQ(entries, 2 * (512 / chunk * chunk / ratio));
    }
  }
}

// The sets of tokens as upstream's planner states them (sglang 0.5.13, c_plan.cuh:218-233), for lengths on the device.
TEST(PlanRecords, NameTheTokensThatUpstreamsPlannerNames) {
  const auto nowhere = [](std::int64_t, std::int64_t) { return 0; };
  for (const auto& [ratio, ring] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{4, 8}, {4, 16}, {128, 128}, {128, 256}}) {
    for (std::int64_t length = 1; length <= 600; length += length < 20 ? 1 : 7) {
      for (std::int64_t fresh = 1; fresh <= length; fresh += fresh < 20 ? 1 : 11) {
        const auto plans = prefill_records({{0, length, fresh}}, ratio, {last_kept(ring, ratio), 256}, nowhere);
        std::vector<Row> compress, write;
        const std::int64_t pad = std::min<std::int64_t>(ring - ratio, 4), window = ratio == 4 ? 8 : 128;
        const std::int64_t from = std::min(length / ratio * ratio - (ratio == 4 ? 4 : 0), length - pad);
        for (std::int64_t j = 0; j < fresh; ++j) {
          const std::int64_t position = length - fresh + j;
          if ((position + 1) % ratio == 0) {
            compress.push_back({position + 1, j, window - std::min(j + 1, window), 0, 0});
          }
          if (position >= from || (ratio == 4 && position % 256 >= 252)) write.push_back({j, 0});
        }
        ASSERT_EQ(all(plans.compress), compress) << ratio << " " << length << " " << fresh;
        ASSERT_EQ(all(plans.write), write) << ratio << " " << length << " " << fresh;
      }
    }
  }
}

}  // namespace
}  // namespace dsv4::plans
