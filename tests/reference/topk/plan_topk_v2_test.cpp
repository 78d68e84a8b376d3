#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int32_t kUntouched = -77;

/// The arguments and the output of one call.
struct Plan {
  HostTensor lengths;
  HostTensor metadata;
  std::int64_t threshold = 0;

  explicit Plan(const std::vector<std::int32_t>& rows)
      : lengths(HostTensor::make(DType::kI32, {std::ssize(rows)})),
        metadata(HostTensor::make(DType::kI32, {std::ssize(rows) + 1, 4})) {
    for (std::size_t i = 0; i < rows.size(); ++i) lengths.at<std::int32_t>(i) = rows[i];
    for (std::int64_t i = 0; i < metadata.size(0); ++i) {
      for (std::int64_t j = 0; j < 4; ++j) metadata.at<std::int32_t>(i, j) = kUntouched;
    }
  }

  Plan& call() {
    call_reference("plan_topk_v2", "topk_plan", {&lengths, &metadata, threshold});
    return *this;
  }
  [[nodiscard]] std::array<std::int32_t, 4> entry(std::int64_t i) const {
    return {metadata.at<std::int32_t>(i, 0), metadata.at<std::int32_t>(i, 1), metadata.at<std::int32_t>(i, 2),
            metadata.at<std::int32_t>(i, 3)};
  }
};

/// `count` rows of length `length`, and rows of length 1 up to `rows` rows.
std::vector<std::int32_t> long_rows(std::int32_t count, std::int32_t length, std::int32_t rows) {
  std::vector<std::int32_t> list(static_cast<std::size_t>(rows), 1);
  std::fill_n(list.begin(), count, length);
  return list;
}

/// The threshold that follows from the lengths.
std::int32_t chosen(const std::vector<std::int32_t>& rows) { return Plan(rows).call().entry(0)[0]; }

TEST(PlanTopKV2Reference, ListsTheRowsThatAreLongerThanTheThreshold) {
  std::vector<std::int32_t> rows(18, 100);
  rows[2] = 32768;
  rows[3] = 32769;
  rows[17] = 40000;
  Plan plan(rows);
  plan.call();
  EXPECT_THAT(plan.entry(0), ElementsAre(32768, 2, 0, 0));
  EXPECT_THAT(plan.entry(1), ElementsAre(3, 32769, 0, 0));
  EXPECT_THAT(plan.entry(2), ElementsAre(17, 40000, 0, 0));
  for (int i = 3; i <= 15; ++i) EXPECT_THAT(plan.entry(i), ElementsAre(0, 0, 0, 0)) << i;
  for (int i = 16; i <= 18; ++i) EXPECT_EQ(plan.entry(i)[0], kUntouched) << i;
}

TEST(PlanTopKV2Reference, WithUpTo15RowsNothingIsWritten) {
  for (const std::int32_t rows : {0, 1, 15}) {
    Plan plan(long_rows(rows, 100000, rows));
    plan.call();
    for (int i = 0; i <= rows; ++i) EXPECT_EQ(plan.entry(i)[0], kUntouched);
  }
  EXPECT_EQ(Plan(long_rows(16, 100000, 16)).call().entry(0)[1], 16);
}

TEST(PlanTopKV2Reference, AnItemHasANextOneIfThereIsAnItem15PlacesLater) {
  Plan plan(long_rows(31, 50000, 31));
  plan.threshold = 40000;
  plan.call();
  EXPECT_EQ(plan.entry(0)[1], 31);
  for (int i = 0; i < 31; ++i) EXPECT_THAT(plan.entry(1 + i), ElementsAre(i, 50000, i < 16 ? 1 : 0, 0)) << i;
  EXPECT_EQ(Plan(long_rows(15, 50000, 16)).call().entry(1)[2], 0);
  EXPECT_EQ(Plan(long_rows(16, 50000, 16)).call().entry(1)[2], 1);
}

TEST(PlanTopKV2Reference, AGivenThresholdCountsFrom32768On) {
  for (const std::int64_t given : {1, 32767, 32768}) {
    Plan plan(long_rows(3, 32769, 200));
    plan.threshold = given;
    EXPECT_THAT(plan.call().entry(0), ElementsAre(32768, 3, 0, 0));
  }
  Plan plan(long_rows(3, 32769, 200));
  plan.threshold = 32769;
  EXPECT_THAT(plan.call().entry(0), ElementsAre(32769, 0, 0, 0));
  plan.threshold = 0xffffffff;
  EXPECT_THAT(plan.call().entry(0), ElementsAre(-1, 0, 0, 0));
}

// The table of topk_v2.cuh:139-148 (0.5.13). With as many longer rows as a step allows, the step is taken. With one
// more, the next higher step is taken.
TEST(PlanTopKV2Reference, TheThresholdFollowsFromTheNumberOfLongRows) {
  EXPECT_EQ(chosen(long_rows(30, 262144, 30)), 32768);  // with up to 30 rows always
  EXPECT_EQ(chosen(long_rows(30, 262144, 31)), 32768);
  EXPECT_EQ(chosen(long_rows(31, 32769, 31)), 40960);
  EXPECT_EQ(chosen(long_rows(31, 40961, 31)), 40960);
  EXPECT_EQ(chosen(long_rows(45, 49153, 200)), 40960);  // 45 rows are allowed at 40960 as well
  EXPECT_EQ(chosen(long_rows(46, 40961, 200)), 49152);
  EXPECT_EQ(chosen(long_rows(46, 49153, 200)), 65536);
  EXPECT_EQ(chosen(long_rows(60, 65537, 200)), 65536);
  EXPECT_EQ(chosen(long_rows(61, 65537, 200)), 98304);
  EXPECT_EQ(chosen(long_rows(61, 98305, 200)), 131072);
  EXPECT_EQ(chosen(long_rows(75, 131073, 200)), 131072);
  EXPECT_EQ(chosen(long_rows(76, 131073, 200)), 196608);
  EXPECT_EQ(chosen(long_rows(90, 196609, 200)), 196608);
  EXPECT_EQ(chosen(long_rows(91, 196609, 200)), 262144);
  EXPECT_EQ(chosen(long_rows(200, 262144, 200)), 262144);
  EXPECT_EQ(chosen(long_rows(106, 262145, 200)), 262144);  // even the last step has too many
  EXPECT_EQ(chosen(long_rows(0, 0, 200)), 32768);
}

// A higher step with too many rows ends the search, whatever lower steps allow. 70 rows of 100000 and 91 of 200000: at
// 196608 91 rows are too many.
TEST(PlanTopKV2Reference, TheSearchGoesDownFromTheHighestThreshold) {
  std::vector<std::int32_t> rows = long_rows(91, 200000, 400);
  std::fill_n(rows.begin() + 100, 70, 100000);
  EXPECT_EQ(chosen(rows), 262144);
}

TEST(PlanTopKV2Reference, ANegativeLengthCountsAsZero) {
  Plan plan(long_rows(2, -1, 40));
  EXPECT_EQ(plan.call().entry(0)[1], 0);
}

TEST(PlanTopKV2Reference, RefusesWrongArguments) {
  const auto message = [](auto change) {
    Plan p(long_rows(2, 40000, 20));
    change(p);
    return refusal("plan_topk_v2", "topk_plan", {&p.lengths, &p.metadata, p.threshold});
  };
  EXPECT_THAT(message([](Plan& p) { p.metadata = HostTensor::make(DType::kI32, {20, 4}); }), HasSubstr("'metadata'"));
  EXPECT_THAT(message([](Plan& p) { p.metadata = HostTensor::make(DType::kI32, {21, 2}); }), HasSubstr("'metadata'"));
  EXPECT_THAT(message([](Plan& p) { p.lengths = HostTensor::make(DType::kI64, {20}); }), HasSubstr("'seq_lens'"));
  EXPECT_THAT(message([](Plan& p) { p.threshold = -1; }), HasSubstr("'static_cluster_threshold'"));
  EXPECT_THAT(message([](Plan& p) { p.threshold = std::int64_t{1} << 32; }), HasSubstr("'static_cluster_threshold'"));
}

}  // namespace
}  // namespace dsv4::testing
