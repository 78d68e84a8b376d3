#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

/// The arguments and the outputs of one call.
struct TopK {
  HostTensor scores;
  HostTensor lengths;
  HostTensor table;
  HostTensor slots;
  HostTensor raw;
  std::int64_t page_size;

  TopK(std::int64_t rows, std::int64_t columns, std::int64_t k, std::int64_t page_size = 64)
      : scores(HostTensor::make(DType::kF32, {rows, columns})),
        lengths(HostTensor::make(DType::kI32, {rows})),
        table(HostTensor::make(DType::kI32, {rows, columns / page_size + 1})),
        slots(HostTensor::make(DType::kI32, {rows, k})),
        raw(HostTensor::make(DType::kI32, {rows, k})),
        page_size(page_size) {
    for (std::int64_t r = 0; r < rows; ++r) {
      lengths.at<std::int32_t>(r) = static_cast<std::int32_t>(columns);
      for (std::int64_t p = 0; p < table.size(1); ++p)
        table.at<std::int32_t>(r, p) = static_cast<std::int32_t>(100 * r + p);
    }
  }

  void call() { call_reference("topk_v1", "topk_transform", {&scores, &lengths, &table, &slots, page_size, &raw}); }

  [[nodiscard]] std::set<std::int32_t> chosen(std::int64_t row) const {
    std::set<std::int32_t> out;
    for (std::int64_t j = 0; j < raw.size(1); ++j) out.insert(raw.at<std::int32_t>(row, j));
    return out;
  }
};

TEST(TopKV1Reference, ShortRowsTakeEverythingInAscendingOrder) {
  TopK t(3, 600, 512);
  t.lengths.at<std::int32_t>(0) = 0;
  t.lengths.at<std::int32_t>(1) = 3;
  t.lengths.at<std::int32_t>(2) = 512;
  fill_floats(t.scores, [] { return std::nanf(""); });  // the scores of short rows must not be read
  t.call();
  for (int j = 0; j < 512; ++j) {
    EXPECT_EQ(t.raw.at<std::int32_t>(0, j), -1);
    EXPECT_EQ(t.slots.at<std::int32_t>(0, j), -1);
    EXPECT_EQ(t.raw.at<std::int32_t>(1, j), j < 3 ? j : -1);
    EXPECT_EQ(t.slots.at<std::int32_t>(1, j), j < 3 ? 100 * 64 + j : -1);
    EXPECT_EQ(t.raw.at<std::int32_t>(2, j), j);
    EXPECT_EQ(t.slots.at<std::int32_t>(2, j), (200 + j / 64) * 64 + j % 64);
  }
}

TEST(TopKV1Reference, ARowOfExactlyKPositionsIsNotOrderedByScore) {
  TopK t(2, 600, 512);
  t.lengths.at<std::int32_t>(0) = 512;
  t.lengths.at<std::int32_t>(1) = 513;
  for (std::int64_t i = 0; i < 600; ++i) t.scores.at<float>(0, i) = t.scores.at<float>(1, i) = static_cast<float>(i);
  t.call();
  EXPECT_EQ(t.raw.at<std::int32_t>(0, 0), 0);
  EXPECT_EQ(t.raw.at<std::int32_t>(0, 511), 511);
  EXPECT_EQ(t.raw.at<std::int32_t>(1, 0), 512);
  EXPECT_EQ(t.raw.at<std::int32_t>(1, 511), 1);
}

TEST(TopKV1Reference, LengthsOutsideTheRowAreClamped) {
  TopK t(2, 100, 512);
  t.lengths.at<std::int32_t>(0) = -1;
  t.lengths.at<std::int32_t>(1) = 101;
  t.call();
  EXPECT_EQ(t.raw.at<std::int32_t>(0, 0), -1);
  EXPECT_EQ(t.raw.at<std::int32_t>(1, 99), 99);
  EXPECT_EQ(t.raw.at<std::int32_t>(1, 100), -1);
}

TEST(TopKV1Reference, SelectsInDescendingOrderAndTheLowerPositionOfEqualScores) {
  TopK t(1, 1000, 512);
  for (int i = 0; i < 1000; ++i) t.scores.at<float>(0, i) = static_cast<float>(i % 500);
  t.call();
  // Each value v from 499 to 244 is selected twice, at positions v and v + 500.
  for (int j = 0; j < 512; ++j) EXPECT_EQ(t.raw.at<std::int32_t>(0, j), 499 - j / 2 + 500 * (j % 2)) << j;
}

TEST(TopKV1Reference, ScoresPastTheLengthDoNotMatter) {
  TopK t(1, 2000, 512);
  t.lengths.at<std::int32_t>(0) = 600;
  for (int i = 0; i < 2000; ++i) t.scores.at<float>(0, i) = static_cast<float>(i);
  t.call();
  EXPECT_EQ(t.raw.at<std::int32_t>(0, 0), 599);
  EXPECT_EQ(t.raw.at<std::int32_t>(0, 511), 88);
}

// The order is, from the greatest score to the least: positive NaN, negative NaN, +inf, numbers (+0 before -0), -inf.
TEST(TopKV1Reference, OrdersSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  TopK t(1, 516, 512);
  fill_floats(t.scores, [] { return -1.0f; });
  const std::vector<std::uint32_t> bits{0xffc00000u,  // 0: -NaN
                                        0x7fc00000u,  // 1: +NaN
                                        0x7fc00001u,  // 2: +NaN with a greater payload, which comes before item 1
                                        0xff800001u,  // 3: -NaN with a smaller payload, which comes before item 0
                                        std::bit_cast<std::uint32_t>(kInf),
                                        0x7f7fffffu,
                                        0x00000001u,
                                        0x00000000u,
                                        0x80000000u,
                                        0x80000001u};
  for (std::size_t i = 0; i < bits.size(); ++i) t.scores.at<float>(0, i) = std::bit_cast<float>(bits[i]);
  for (int i = 512; i < 516; ++i) t.scores.at<float>(0, i) = -kInf;
  t.call();
  const std::vector<std::int32_t> expected{2, 1, 3, 0, 4, 5, 6, 7, 8, 9};
  for (std::size_t j = 0; j < expected.size(); ++j) EXPECT_EQ(t.raw.at<std::int32_t>(0, j), expected[j]) << j;
  for (int i = 512; i < 516; ++i) EXPECT_FALSE(t.chosen(0).contains(i));
}

TEST(TopKV1Reference, SelectsPlusZeroBeforeMinusZero) {
  TopK t(1, 1024, 512);
  for (int i = 0; i < 1024; ++i) t.scores.at<float>(0, i) = i % 2 == 0 ? -0.0f : 0.0f;
  t.call();
  for (int j = 0; j < 512; ++j) EXPECT_EQ(t.raw.at<std::int32_t>(0, j), 2 * j + 1);
}

TEST(TopKV1Reference, MapsPagesInInt32) {
  for (const std::int64_t page_size : {1, 2, 64, 256}) {
    TopK t(1, 512, 512, page_size);
    t.table.at<std::int32_t>(0, 0) = -1;
    t.table.at<std::int32_t>(0, 1) = 0x7fffffff;
    t.call();
    EXPECT_EQ(t.slots.at<std::int32_t>(0, 0), -page_size);  // (-1 << bits) | 0
    EXPECT_EQ(t.slots.at<std::int32_t>(0, page_size),       // the product wraps around
              static_cast<std::int32_t>(0x7fffffffu * static_cast<std::uint32_t>(page_size)));
    EXPECT_EQ(t.slots.at<std::int32_t>(0, 2 * page_size - 1),
              static_cast<std::int32_t>(0x7fffffffu * static_cast<std::uint32_t>(page_size) +
                                        static_cast<std::uint32_t>(page_size) - 1));
  }
}

TEST(TopKV1Reference, ReadsStridedScoresAndTables) {
  TopK dense(3, 1030, 1024);
  Random random(5, "scores");
  fill_floats(dense.scores, [&] { return random.gauss(); });
  TopK strided = dense;
  strided.scores = HostTensor::strided(DType::kF32, {3, 1030}, {1031, 1}, 3);
  strided.table = HostTensor::strided(DType::kI32, dense.table.shape, {40, 1}, 1);
  poison(strided.scores, 1);
  for (int r = 0; r < 3; ++r) {
    for (int i = 0; i < 1030; ++i) strided.scores.at<float>(r, i) = dense.scores.at<float>(r, i);
    for (int p = 0; p < dense.table.size(1); ++p)
      strided.table.at<std::int32_t>(r, p) = dense.table.at<std::int32_t>(r, p);
  }
  dense.call();
  strided.call();
  EXPECT_EQ(dense.slots.storage, strided.slots.storage);
  EXPECT_EQ(dense.raw.storage, strided.raw.storage);
}

TEST(TopKV1Reference, RawIndicesAreOptional) {
  TopK t(1, 700, 512);
  Random random(6, "scores");
  fill_floats(t.scores, [&] { return random.gauss(); });
  t.call();
  HostTensor slots = HostTensor::make(DType::kI32, {1, 512});
  call_reference("topk_v1", "topk_transform", {&t.scores, &t.lengths, &t.table, &slots, std::int64_t{64}, nullptr});
  EXPECT_EQ(slots.storage, t.slots.storage);
}

TEST(TopKV1Reference, AgreesWithAnIndependentSelection) {
  TopK t(4, 3000, 1024);
  Random random(7, "scores");
  fill_floats(t.scores, [&] { return std::round(random.gauss() * 40.0f); });  // many ties
  t.call();
  for (int r = 0; r < 4; ++r) {
    std::vector<float> all;
    for (int i = 0; i < 3000; ++i) all.push_back(t.scores.at<float>(r, i));
    std::vector<float> picked;
    for (const auto i : t.chosen(r)) picked.push_back(all.at(static_cast<std::size_t>(i)));
    std::sort(all.begin(), all.end(), std::greater<>());
    all.resize(1024);
    std::sort(picked.begin(), picked.end(), std::greater<>());
    EXPECT_EQ(picked, all);
  }
}

TEST(TopKV1Reference, RefusesWrongArguments) {
  const auto message = [](auto change) {
    TopK t(2, 600, 512);
    change(t);
    return refusal("topk_v1", "topk_transform", {&t.scores, &t.lengths, &t.table, &t.slots, t.page_size, &t.raw});
  };
  EXPECT_EQ(message([](TopK& t) {
              t.scores = HostTensor::make(DType::kBF16, {2, 600});
            }),
            "topk_v1: argument 'scores': expected float32, got bfloat16");
  EXPECT_EQ(message([](TopK& t) { t.scores = HostTensor::make(DType::kF32, {1200}); }),
            "topk_v1: argument 'scores': expected rank 2, got 1");
  EXPECT_THAT(message([](TopK& t) { t.lengths = HostTensor::make(DType::kI32, {3}); }), HasSubstr("'seq_lens'"));
  EXPECT_THAT(message([](TopK& t) { t.slots = HostTensor::make(DType::kI32, {2, 511}); }), HasSubstr("'page_indices'"));
  EXPECT_THAT(message([](TopK& t) { t.raw = HostTensor::make(DType::kI32, {2, 1024}); }), HasSubstr("'raw_indices'"));
  EXPECT_THAT(message([](TopK& t) { t.page_size = 0; }), HasSubstr("'page_size'"));
}

}  // namespace
}  // namespace dsv4::testing
