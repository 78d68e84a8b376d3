#include "harness/bench/times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/core/error.h"

namespace dsv4::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SetTimes took(const std::string& set, double us) {
  return {set, "", {"", {us, us - 1, us + 1}, {us / 2, us / 2, us / 2}}};
}

/// Two sets; a copy reads and writes 1 GB/s, so a copy of 1 MB takes 1000 us.
const BenchFacts kFacts{{{"gpu", "Some GPU"}}, 1e9, {{"mine", {{"version", "2"}}}, {"theirs", {}}}};

ShapeTimes shape(const std::string& point, double mine_us, double theirs_us) {
  return {"some_op", point, {1e6, 2e6}, Clock::kGraph, {took("mine", mine_us), took("theirs", theirs_us)}};
}

TEST(BenchTimes, ALineTellsSpeedShareAndRatio) {
  const std::string text = lines_on(shape("rows=1", 1250, 5000), kFacts);
  EXPECT_THAT(text, HasSubstr("some_op rows=1\n  1.000 MB, 2.000 MFLOP, clock graph"));
  EXPECT_THAT(text, HasSubstr("1250.00  1249.00..1251.00   625.00      1       2  80%\n"));
  EXPECT_THAT(text, HasSubstr("20%  4.00\n"));
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    EXPECT_LE(end - at, 82u) << text.substr(at, end - at);
  }
}

TEST(BenchTimes, TheSummaryHasTheMeanTheLowestAndTheShares) {
  // 4 and 1/4: the geometric mean is 1.
  const std::string text = summary({shape("rows=1", 1250, 5000), shape("rows=2", 4000, 1000)}, kFacts);
  EXPECT_THAT(text,
              HasSubstr("theirs / time of mine: geometric mean 1.00 over 2 shapes, lowest 0.25 (some_op rows=2)"));
  EXPECT_THAT(text,
              HasSubstr("mine: 1 of 2 shapes whose bytes take over 10 us at copy speed reach 80 % of it, lowest 25 %"));
  EXPECT_THAT(text, Not(HasSubstr("NOT TIMED")));
}

TEST(BenchTimes, WhatWasNotTimedIsSaid) {
  ShapeTimes absent = shape("rows=1", 1000, 1000), refused = absent;
  absent.sets[1].absent = "the set has no function for this shape";
  refused.sets[0].timed.refused = "too large";
  EXPECT_THAT(lines_on(refused, kFacts), HasSubstr("mine               not timed: too large"));
  const std::string text = summary({absent, refused}, kFacts);
  EXPECT_THAT(text, HasSubstr("NOT TIMED: 2 times of some_op"));
  EXPECT_THAT(text, Not(HasSubstr("geometric mean"))) << "no shape has both times";
  const auto j = to_json({absent, refused}, kFacts);
  EXPECT_EQ(j.at("shapes").at(0).at("sets").at(1).at("not_timed"), "the set has no function for this shape");
  EXPECT_EQ(j.at("shapes").at(1).at("sets").at(1).at("cold").at("median_us"), 1000);
  EXPECT_FALSE(j.at("shapes").at(1).at("sets").at(1).contains("ratio"));
}

TEST(BenchTimes, ShortCallsHaveNoShareInTheSummary) {
  ShapeTimes small = shape("rows=1", 5, 5);
  small.cost.bytes = 9000;  // 9 us at copy speed
  EXPECT_THAT(summary({small}, kFacts), Not(HasSubstr("copy speed")));
}

TEST(BenchShapes, EveryDeclaredPointCanBeMade) {
  for (const Shape& s : shapes_of(all_ops(), {})) {
    EXPECT_NO_THROW((void)s.op->info().space.at(s.point)) << s.title();
  }
  EXPECT_THROW(shapes_of(all_ops(), {"no such text"}), Error);
  const auto one = shapes_of(all_ops(), {"batch=64 len=131072"});
  ASSERT_FALSE(one.empty());
  EXPECT_EQ(one.front().op->info().name, "topk_v1");
}

}  // namespace
}  // namespace dsv4::bench
