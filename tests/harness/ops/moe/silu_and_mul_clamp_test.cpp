#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/core/bits.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

Specimen specimen(const char* limit, const char* fill) {
  return Specimen(std::string("silu_and_mul_clamp/rows=3,dim=136,dtype=bf16,limit=") + limit + ",fill=" + fill +
                  "/seed=1");
}

TEST(SiluClampOp, TiersAreCallable) {
  expect_tier_is_callable("silu_and_mul_clamp", Tier::kSmoke);
  expect_tier_is_callable("silu_and_mul_clamp", Tier::kQuick);
}

TEST(SiluClampOp, FindsAValueThatIsOneStepOff) {
  const Specimen s = specimen("10", "gauss");
  int caught = 0;
  for (std::int64_t i = 0; i < 3 * 136; ++i) {
    const auto step = [i](Specimen& m) { ++m.tensor("output").data<std::uint16_t>()[i]; };
    caught += s.failure_after(step) == "output" ? 1 : 0;
  }
  EXPECT_GE(caught, 3 * 136 - 2);  // a value near the middle between two numbers may be either
}

// For some gates and ups, the rounded limit gives another bfloat16 number.
TEST(SiluClampOp, FindsALimitThatWasNotRounded) {
  const Specimen s = specimen("0.1", "at_limit");
  const HostTensor &input = s.call.tensor("input"), &output = s.result.tensor("output");
  int found = 0;
  for (std::int64_t r = 0; r < 3; ++r) {
    for (std::int64_t j = 0; j < 136; ++j) {
      const double gate = std::min(double{float_from_bf16(input.at<std::uint16_t>(r, j))}, 0.1);
      const double up = std::clamp(double{float_from_bf16(input.at<std::uint16_t>(r, 136 + j))}, -7.03, 0.1);
      const std::uint16_t wrong = bf16_from_float(static_cast<float>(gate / (1.0 + std::exp(-gate)) * up));
      if (wrong == output.at<std::uint16_t>(r, j)) continue;
      const auto change = [&](Specimen& m) { m.tensor("output").at<std::uint16_t>(r, j) = wrong; };
      found += s.failure_after(change) == "output" ? 1 : 0;
    }
  }
  EXPECT_GE(found, 10);
}

TEST(SiluClampOp, AnyNanEqualsAnyNanAndNothingElse) {
  const Specimen s = specimen("10", "inf");
  int found = 0;
  for (std::int64_t i = 0; i < 3 * 136; ++i) {
    const auto with = [&](std::uint16_t bits) {
      return s.failure_after([&](Specimen& m) { m.tensor("output").data<std::uint16_t>()[i] = bits; });
    };
    if ((s.result.tensor("output").data<std::uint16_t>()[i] & 0x7fff) <= 0x7f80) continue;
    ++found;
    EXPECT_EQ(with(0xffc1), "");
    EXPECT_EQ(with(0x7f80), "output");
    EXPECT_EQ(with(0x8000), "output");
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace dsv4::testing
