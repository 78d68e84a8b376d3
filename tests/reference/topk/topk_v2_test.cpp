#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

/// The arguments and the output of one call. Page p of row r is 100 r + p, so with pages of 64 the slot of a position i
/// in row r is 6400 r + i.
struct TopK {
  HostTensor scores, lengths, table, slots, workspace, metadata;
  std::int64_t page_size = 64;

  TopK(std::int64_t rows, std::int64_t columns, std::int64_t k)
      : scores(HostTensor::make(DType::kF32, {rows, columns})),
        lengths(HostTensor::make(DType::kI32, {rows})),
        table(HostTensor::make(DType::kI32, {rows, columns / 64 + 1})),
        slots(HostTensor::make(DType::kI32, {rows, k})),
        workspace(HostTensor::make(DType::kI32, {rows, 2050})),
        metadata(HostTensor::make(DType::kI32, {rows + 1, 4})) {
    for (std::int64_t r = 0; r < rows; ++r) {
      lengths.at<std::int32_t>(r) = static_cast<std::int32_t>(columns);
      for (std::int64_t p = 0; p < table.size(1); ++p)
        table.at<std::int32_t>(r, p) = static_cast<std::int32_t>(100 * r + p);
    }
  }

  void call() {
    call_reference("topk_v2", "topk_transform", {&scores, &lengths, &table, &slots, page_size, &workspace, &metadata});
  }
  [[nodiscard]] std::int32_t slot(std::int64_t row, std::int64_t j) const { return slots.at<std::int32_t>(row, j); }
};

TEST(TopKV2Reference, ShortRowsTakeEverythingInAscendingOrder) {
  TopK t(3, 600, 512);
  t.lengths.at<std::int32_t>(0) = 0;
  t.lengths.at<std::int32_t>(1) = 3;
  t.lengths.at<std::int32_t>(2) = 512;
  fill_floats(t.scores, [] { return std::nanf(""); });  // the scores of short rows must not be read
  t.call();
  for (int j = 0; j < 512; ++j) {
    EXPECT_EQ(t.slot(0, j), -1);
    EXPECT_EQ(t.slot(1, j), j < 3 ? 6400 + j : -1);
    EXPECT_EQ(t.slot(2, j), 12800 + j);
  }
}

TEST(TopKV2Reference, SelectsInDescendingOrderAndTheLowerPositionOfEqualScores) {
  TopK t(1, 1000, 512);
  for (int i = 0; i < 1000; ++i) t.scores.at<float>(0, i) = static_cast<float>(i % 500);
  t.call();
  // Each value v from 499 to 244 is selected twice, at positions v and v + 500.
  for (int j = 0; j < 512; ++j) EXPECT_EQ(t.slot(0, j), 499 - j / 2 + 500 * (j % 2)) << j;
}

// One length for each path of upstream's kernel: one pass and two passes in registers, streaming, cluster.
TEST(TopKV2Reference, TheLengthOfARowDoesNotChangeTheSelection) {
  for (const std::int64_t n : {16384, 16385, 32768, 32769, 70000}) {
    TopK t(1, n, 1024);
    // The scores 0 ... n - 1 in an order that is a permutation, because 7919 is a prime that does not divide n.
    for (std::int64_t i = 0; i < n; ++i) t.scores.at<float>(0, i) = static_cast<float>(i * 7919 % n);
    t.call();
    for (std::int64_t j = 0; j < 1024; ++j) {
      EXPECT_EQ(static_cast<std::int64_t>(t.slot(0, j)) * 7919 % n, n - 1 - j) << "n " << n << ", place " << j;
    }
  }
}

// From the greatest score to the least: positive NaN, negative NaN, +inf, numbers (+0 before -0), -inf.
TEST(TopKV2Reference, OrdersSpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  TopK t(1, 516, 512);
  fill_floats(t.scores, [] { return -1.0f; });
  const std::vector<std::uint32_t> bits{
      0xffc00000u, 0x7fc00000u, 0x7fc00001u, 0xff800001u, std::bit_cast<std::uint32_t>(kInf),
      0x7f7fffffu, 0x00000001u, 0x00000000u, 0x80000000u, 0x80000001u};
  for (std::size_t i = 0; i < bits.size(); ++i) t.scores.at<float>(0, i) = std::bit_cast<float>(bits[i]);
  for (int i = 512; i < 516; ++i) t.scores.at<float>(0, i) = -kInf;
  t.call();
  const std::vector<std::int32_t> expected{2, 1, 3, 0, 4, 5, 6, 7, 8, 9};
  for (std::size_t j = 0; j < expected.size(); ++j) EXPECT_EQ(t.slot(0, j), expected[j]) << j;
  for (int j = 0; j < 512; ++j) EXPECT_LT(t.slot(0, j), 512);
}

TEST(TopKV2Reference, NeitherPlanNorWorkspaceMatters) {
  TopK t(2, 2000, 512);
  Random random(5, "scores");
  fill_floats(t.scores, [&] { return random.gauss(); });
  TopK other = t;
  t.call();
  poison(other.metadata, 1);
  poison(other.workspace, 2);
  other.call();
  EXPECT_EQ(t.slots.storage, other.slots.storage);
}

// The selection of topk_v1, whose tests compare it with independent selections.
TEST(TopKV2Reference, AgreesWithTopKV1) {
  TopK t(3, 3000, 1024);
  Random random(7, "scores");
  fill_floats(t.scores, [&] { return std::round(random.gauss() * 40.0f); });  // many ties
  t.lengths.at<std::int32_t>(1) = 1025;
  t.lengths.at<std::int32_t>(2) = -5;
  t.call();
  HostTensor slots = HostTensor::make(DType::kI32, {3, 1024});
  call_reference("topk_v1", "topk_transform", {&t.scores, &t.lengths, &t.table, &slots, t.page_size, nullptr});
  EXPECT_EQ(t.slots.storage, slots.storage);
}

TEST(TopKV2Reference, RefusesWrongArguments) {
  const auto message = [](auto change) {
    TopK t(2, 600, 512);
    change(t);
    return refusal("topk_v2", "topk_transform",
                   {&t.scores, &t.lengths, &t.table, &t.slots, t.page_size, &t.workspace, &t.metadata});
  };
  EXPECT_EQ(message([](TopK& t) {
              t.scores = HostTensor::make(DType::kBF16, {2, 600});
            }),
            "topk_v2: argument 'scores': expected float32, got bfloat16");
  EXPECT_THAT(message([](TopK& t) { t.lengths = HostTensor::make(DType::kI32, {3}); }), HasSubstr("'seq_lens'"));
  EXPECT_THAT(message([](TopK& t) { t.slots = HostTensor::make(DType::kI32, {2, 511}); }), HasSubstr("'page_indices'"));
  EXPECT_THAT(message([](TopK& t) {
                t.workspace = HostTensor::make(DType::kI32, {2, 2049});
              }),
              HasSubstr("'workspace'"));
  EXPECT_THAT(message([](TopK& t) { t.metadata = HostTensor::make(DType::kI32, {2, 4}); }), HasSubstr("'metadata'"));
  EXPECT_THAT(message([](TopK& t) { t.page_size = 0; }), HasSubstr("'page_size'"));
}

}  // namespace
}  // namespace dsv4::testing
