#include "harness/golden/movement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace dsv4 {
namespace {

using ::testing::ElementsAre;

GoldenOutput floats(const std::string& name, const std::vector<float>& values) {
  Output o{name, HostTensor::make(DType::kF32, {static_cast<std::int64_t>(values.size())})};
  std::memcpy(o.value.storage.data(), values.data(), values.size() * sizeof(float));
  return make_output(o, nullptr);
}

GoldenEntry entry(const std::string& id, std::vector<GoldenOutput> outputs, Verdict verdict = Verdict::kPassed) {
  GoldenEntry e;
  e.id = id;
  e.verdict = verdict;
  e.outputs = std::move(outputs);
  return e;
}

TEST(Movement, MeasuresTheFarthestElementOfEachOutput) {
  const Golden before{.op = "a", .set = "s", .provenance = {}, .entries = {entry("a/1", {floats("y", {1, 2, -4, 0})})}};
  const float next = std::nextafter(2.0F, 3.0F);
  const Golden after{
      .op = "a", .set = "s", .provenance = {}, .entries = {entry("a/1", {floats("y", {1, next, -3, 0})})}};
  const auto moved = movements(before, after);
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(moved[0].other, 2);
  EXPECT_EQ(moved[0].compared, 4);
  EXPECT_EQ(moved[0].ulp, 1 << 22) << "from -4 to -3";
  EXPECT_DOUBLE_EQ(moved[0].relative, 0.25);
  EXPECT_EQ(describe(moved[0]), "2 of 4 elements have other bits, at most 4194304 ulp and 0.25 relative");
  EXPECT_TRUE(movements(before, before).empty());
}

TEST(Movement, TheFarthestComesFirstAndOtherFormsAreTold) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Golden before{.op = "a",
                      .set = "s",
                      .provenance = {},
                      .entries = {entry("a/1", {floats("y", {1, 1})}), entry("a/2", {floats("y", {1, 1})}),
                                  entry("a/3", {floats("y", {1, 1}), floats("z", {1})})}};
  const Golden after{.op = "a",
                     .set = "s",
                     .provenance = {},
                     .entries = {entry("a/1", {floats("y", {1, 1.5F})}), entry("a/2", {floats("y", {1, nan})}),
                                 entry("a/3", {floats("y", {1, 1, 1})}), entry("a/4", {floats("y", {7})})}};
  std::vector<std::string> told;
  for (const Movement& m : movements(before, after)) told.push_back(m.id + " " + m.output + ": " + describe(m));
  EXPECT_THAT(told, ElementsAre("a/2 y: 1 of 2 elements have other bits, at most 0 ulp and inf relative",
                                "a/3 y: f32[2] became f32[3]", "a/3 z: is gone",
                                "a/1 y: 1 of 2 elements have other bits, at most 4194304 ulp and 0.33 relative"));
}

TEST(Movement, ASampleSaysSo) {
  std::vector<float> values(1000, 1.0F);
  const Golden before{.op = "a", .set = "s", .provenance = {}, .entries = {entry("a/1", {floats("y", values)})}};
  values.front() = 2;
  Golden after{.op = "a", .set = "s", .provenance = {}, .entries = {entry("a/1", {floats("y", values)})}};
  EXPECT_EQ(describe(movements(before, after).at(0)),
            "1 of 32 elements (a sample of 1000 elements) have other bits, at most 8388608 ulp and 0.5 relative");
  values.front() = 1;
  values[1] = 2;  // is not in the sample
  after.entries = {entry("a/1", {floats("y", values)})};
  EXPECT_EQ(describe(movements(before, after).at(0)), "other bits, but none in the 32 kept elements of 1000");
}

TEST(Movement, OnlyCasesThatPassedBeforeAreNewlyFailing) {
  const auto golden = [](Verdict a, Verdict b, Verdict c) {
    return Golden{.op = "a",
                  .set = "s",
                  .provenance = {},
                  .entries = {entry("a/1", {}, a), entry("a/2", {}, b), entry("a/3", {}, c)}};
  };
  EXPECT_THAT(newly_failing(golden(Verdict::kPassed, Verdict::kKnown, Verdict::kPassed),
                            golden(Verdict::kFailed, Verdict::kFailed, Verdict::kKnown)),
              ElementsAre("a/1"));
}

}  // namespace
}  // namespace dsv4
