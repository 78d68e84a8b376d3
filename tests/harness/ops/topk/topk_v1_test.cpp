#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "harness/ops/topk/score_order.h"
#include "harness/ops/topk/selection.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

constexpr const char* kLong = "topk_v1/k=512,batch=2,len=2000,page=64,raw=1,tail=3,lens=full,fill=gauss/seed=1";
constexpr const char* kNoRaw = "topk_v1/k=512,batch=2,len=2000,page=64,raw=0,tail=3,lens=full,fill=gauss/seed=1";
constexpr const char* kShort = "topk_v1/k=512,batch=2,len=100,page=64,raw=1,tail=3,lens=full,fill=gauss/seed=1";
constexpr const char* kTies = "topk_v1/k=512,batch=1,len=2000,page=64,raw=1,tail=0,lens=full,fill=ties/seed=1";

/// Exchanges two entries of the last row.
void exchange(Specimen& s, std::int64_t a, std::int64_t b) {
  for (const char* name : {"page_indices", "raw_indices"}) {
    std::swap(s.tensor(name).at<std::int32_t>(s.call.tensor("seq_lens").size(0) - 1, a),
              s.tensor(name).at<std::int32_t>(s.call.tensor("seq_lens").size(0) - 1, b));
  }
}

/// Puts `position` into entry j of the last row, together with the page index of this position.
void select(Specimen& s, std::int64_t j, std::int32_t position) {
  const std::int64_t row = s.call.tensor("seq_lens").size(0) - 1;
  if (s.call.arg("raw_indices").is_tensor()) s.tensor("raw_indices").at<std::int32_t>(row, j) = position;
  s.tensor("page_indices").at<std::int32_t>(row, j) =
      s.call.tensor("page_table").at<std::int32_t>(row, position / 64) * 64 + position % 64;
}

/// Returns a position of the last row that the reference did not select.
std::int32_t unselected(const Specimen& s) {
  const std::int64_t row = s.call.tensor("seq_lens").size(0) - 1;
  std::vector<bool> taken(2000);
  const Specimen raw(kLong);
  for (int j = 0; j < 512; ++j)
    taken[static_cast<std::size_t>(raw.result.tensor("raw_indices").at<std::int32_t>(row, j))] = true;
  std::int32_t p = 0;
  while (taken[static_cast<std::size_t>(p)]) ++p;
  return p;
}

TEST(TopKV1Op, TiersAreCallable) {
  expect_tier_is_callable("topk_v1", Tier::kSmoke);
  expect_tier_is_callable("topk_v1", Tier::kQuick);
}

TEST(TopKV1Op, TheOrderOfALongRowIsFreeAndOfAShortRowIsNot) {
  EXPECT_EQ(Specimen(kLong).failure_after([](Specimen& s) { exchange(s, 0, 300); }), "");
  EXPECT_EQ(Specimen(kShort).failure_after([](Specimen& s) { exchange(s, 0, 50); }), "positions");
}

TEST(TopKV1Op, FindsAPositionWithALowerScore) {
  for (const char* id : {kLong, kNoRaw}) {
    const std::string check = Specimen(id).failure_after([](Specimen& s) { select(s, 511, unselected(s)); });
    EXPECT_TRUE(check == "positions" || check == "coarse_bin") << check;
  }
}

TEST(TopKV1Op, TiesAtTheCutAreInterchangeableAndOthersAreNot) {
  const Specimen s(kTies);
  const auto score = [&](std::int32_t p) { return s.call.tensor("scores").at<float>(0, p); };
  const HostTensor& raw = s.result.tensor("raw_indices");
  const float cut = score(raw.at<std::int32_t>(0, 511));
  std::int32_t other = 1999;  // the search begins at the end, because the reference prefers low positions
  while (score(other) != cut) --other;
  EXPECT_EQ(s.failure_after([&](Specimen& m) { select(m, 511, other); }), "");
  EXPECT_NE(s.failure_after([&](Specimen& m) { select(m, 0, other); }), "");  // replaces a greater score
}

TEST(TopKV1Op, BrokenSelectionsAreFound) {
  const auto check = [](const char* id, auto change) { return Specimen(id).failure_after(change); };
  EXPECT_EQ(check(kLong, [](Specimen& s) { select(s, 7, s.tensor("raw_indices").at<std::int32_t>(1, 8)); }),
            "duplicate");
  EXPECT_EQ(check(kLong, [](Specimen& s) { s.tensor("raw_indices").at<std::int32_t>(1, 7) = 2000; }), "range");
  EXPECT_EQ(check(kLong, [](Specimen& s) { s.tensor("page_indices").at<std::int32_t>(1, 7) += 64; }), "page_mapping");
  EXPECT_EQ(check(kNoRaw, [](Specimen& s) { s.tensor("page_indices").at<std::int32_t>(1, 7) += 64 * 1000; }), "range");
  EXPECT_EQ(check(kLong, [](Specimen& s) { s.tensor("page_indices").at<std::int32_t>(1, 7) = -1; }), "padding");
  EXPECT_EQ(check(kShort, [](Specimen& s) { s.tensor("raw_indices").at<std::int32_t>(1, 100) = 5; }), "padding");
  EXPECT_EQ(check(kShort, [](Specimen& s) { s.tensor("page_indices").at<std::int32_t>(0, 511) = 0; }), "padding");
}

TEST(TopKV1Op, RowsDependOnTheSeedAloneNotOnTheirNeighbours) {
  const Case few = checked_case("topk_v1/k=512,batch=1,len=900,page=64,raw=1,tail=0,lens=full,fill=gauss/seed=3");
  const Case many = checked_case("topk_v1/k=512,batch=3,len=900,page=64,raw=1,tail=5,lens=full,fill=gauss/seed=3");
  const Call a = find_op("topk_v1")->make(few), b = find_op("topk_v1")->make(many);
  for (int i = 0; i < 900; ++i) EXPECT_EQ(a.tensor("scores").at<float>(0, i), b.tensor("scores").at<float>(0, i));
  EXPECT_TRUE(std::isnan(b.tensor("scores").at<float>(0, 900)));  // scores beyond the row's length are NaN
}

TEST(TopKV1Op, ThresholdBinCountsTheScoresInTheBinOfTheCut) {
  const auto population = [](const char* fill, int len) {
    const Case c = checked_case("topk_v1/k=512,batch=1,len=" + std::to_string(len) +
                                ",page=64,raw=0,tail=0,lens=full,fill=" + fill + "/seed=1");
    return find_op("topk_v1")->facts(c, find_op("topk_v1")->make(c)).at("threshold_bin");
  };
  EXPECT_EQ(population("equal", 512), 0);  // all 512 scores are selected
  EXPECT_EQ(population("equal", 8193), 8193);
  EXPECT_GT(population("cluster", 16384), 8192);
  EXPECT_LT(population("gauss", 16384), 1000);
}

TEST(ScoreOrder, HalfPrecisionBitsRoundToNearestEven) {
  // Finds the nearest magnitude of the format by trying all of them. Infinity (0x7c00) is treated as 65536. If two
  // magnitudes are equally near, the even one is right.
  const auto nearest = [](double x) {
    std::uint16_t best = 0;
    for (std::uint32_t h = 0; h <= 0x7c00; ++h) {
      const double value = h == 0x7c00 ? 65536.0 : double_from_f16(static_cast<std::uint16_t>(h));
      const double best_value = best == 0x7c00 ? 65536.0 : double_from_f16(best);
      const double d = std::fabs(value - x) - std::fabs(best_value - x);
      if (d < 0 || (d == 0 && h % 2 == 0)) best = static_cast<std::uint16_t>(h);
    }
    return best;
  };
  Random random(1, "f16");
  for (int i = 0; i < 100; ++i) {
    const float x = std::fabs(random.wide(-26, 16));
    EXPECT_EQ(f16_bits(x), nearest(x)) << std::hexfloat << x;
    EXPECT_EQ(f16_bits(-x), nearest(x) | 0x8000) << std::hexfloat << x;
  }
  for (const float x :
       {65504.0f, 65519.996f, 65520.0f, 0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 0x1.8p-24f, 0x1.ffcp-15f, 0x1.ffep-15f}) {
    EXPECT_EQ(f16_bits(x), nearest(x)) << std::hexfloat << x;
  }
  EXPECT_EQ(f16_bits(-std::nanf("")), 0x7fff);
  EXPECT_EQ(f16_bits(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(ScoreOrder, CoarseBinsOfSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(coarse_bin(-std::nanf("")), 0xffu);
  EXPECT_EQ(coarse_bin(kInf), 0xfcu);
  EXPECT_EQ(coarse_bin(65520.0f), 0xfcu);
  EXPECT_EQ(coarse_bin(0.0f), 0x80u);
  EXPECT_EQ(coarse_bin(-0.0f), 0x7fu);
  EXPECT_EQ(coarse_bin(-kInf), 0x03u);
  EXPECT_GT(rank_key(-std::nanf("")), rank_key(kInf));
  EXPECT_GT(rank_key(0.0f), rank_key(-0.0f));
}

}  // namespace
}  // namespace dsv4::testing
