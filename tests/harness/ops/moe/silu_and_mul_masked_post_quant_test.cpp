#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/core/bits.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

std::string id(const char* scales, const char* counts, const char* fill = "gauss") {
  return std::string("silu_and_mul_masked_post_quant/experts=3,tokens=4,dim=512,topk=2,") + scales +
         ",limit=10,counts=" + counts + ",fill=" + fill + ",form=main/seed=1";
}
const char* const kFloats = "ue8m0=0,swizzle=0,transposed=0";
const char* const kPowers = "ue8m0=1,swizzle=0,transposed=0";
const char* const kBytes = "ue8m0=1,swizzle=0,transposed=1";

TEST(SiluOp, TiersAreCallable) {
  expect_tier_is_callable("silu_and_mul_masked_post_quant", Tier::kSmoke);
  expect_tier_is_callable("silu_and_mul_masked_post_quant", Tier::kQuick);
}

TEST(SiluOp, FindsACodeThatIsOneStepOff) {
  for (const char* scales : {kFloats, kPowers, kBytes}) {
    const Specimen s(id(scales, "full"));
    int caught = 0;
    for (int j = 0; j < 512; j += 5) {
      const auto up = [j](Specimen& m) {
        auto& code = m.tensor("output").at<std::uint8_t>(0, 0, j);
        code = static_cast<std::uint8_t>((code & 0x7f) == 0x7e ? code - 1 : code + 1);
      };
      caught += s.failure_after(up) == "codes" ? 1 : 0;
    }
    EXPECT_GE(caught, 102) << scales;  // of 103; for a value on the boundary between two codes, both are right
  }
}

TEST(SiluOp, FindsAWrongScaleEvenWithCodesThatFitIt) {
  // Twice the scale with half the code values dequantises to nearly the same result. The scale is still wrong.
  const Specimen powers(id(kPowers, "full"));
  EXPECT_EQ(powers
                .failure_after([](Specimen& m) {
                  m.tensor("output_scale").at<float>(0, 1, 2) *= 2.0f;
                  for (int j = 256; j < 384; ++j) {
                    auto& code = m.tensor("output").at<std::uint8_t>(0, 1, j);
                    if ((code & 0x78) > 0x08) code = static_cast<std::uint8_t>(code - 8);
                  }
                })
                .empty(),
            false);
  EXPECT_EQ(
      Specimen(id(kBytes, "full")).failure_after([](Specimen& m) { m.tensor("output_scale").storage[3] += 1; }).empty(),
      false);
  const Specimen floats(id(kFloats, "full"));
  EXPECT_EQ(floats.failure_after([](Specimen& m) { m.tensor("output_scale").at<float>(0, 1, 2) *= 1.0f + 0x1p-23f; }),
            "");
  EXPECT_NE(floats.failure_after([](Specimen& m) { m.tensor("output_scale").at<float>(0, 1, 2) *= 1.0f + 0x1p-17f; }),
            "");
}

/// Returns a specimen without clamp and with power-of-two scales. Its products are exact.
Specimen exact(const char* fill) {
  return Specimen(
      std::string("silu_and_mul_masked_post_quant/experts=3,tokens=4,dim=512,topk=2,ue8m0=1,swizzle=0,transposed=0,") +
      "limit=none,counts=full,fill=" + fill + ",form=main/seed=1");
}

// With integers and power-of-two scales, some products are halfway between two codes. Only one of these codes is right.
TEST(SiluOp, FindsATieRoundedTheOtherWay) {
  const Specimen s = exact("integers");
  const auto input = [&](std::int64_t column) {
    return float_from_bf16(s.call.tensor("input").at<std::uint16_t>(0, 0, column));
  };
  int ties = 0;
  for (int j = 0; j < 512 && ties < 20; ++j) {
    const double scaled = input(j) * input(512 + j) / s.result.tensor("output_scale").at<float>(0, 0, j / 128);
    const std::uint8_t code = s.result.tensor("output").at<std::uint8_t>(0, 0, j);
    for (const int step : {-1, 1}) {
      const auto other = static_cast<std::uint8_t>(code + step);
      if ((code & 0x7f) == 0 || (other & 0x7f) == 0x7f) continue;
      if (double_from_e4m3(code) - scaled != scaled - double_from_e4m3(other)) continue;
      ++ties;
      EXPECT_EQ(s.failure_after([&](Specimen& m) { m.tensor("output").at<std::uint8_t>(0, 0, j) = other; }), "codes");
    }
  }
  EXPECT_EQ(ties, 20);
}

// If the maximum is 448 times a power of two, this power is the scale. A kernel that rounds a logarithm up, or always
// raises the exponent by one, then takes the next larger scale.
TEST(SiluOp, FindsTheNextScaleForAMaximumThatFitsExactly) {
  const Specimen s = exact("scale_edges");
  int edges = 0;
  for (int t = 0; t < 4; ++t) {
    for (int g = 0; g < 4; ++g) {
      if (s.result.tensor("output").at<std::uint8_t>(0, t, 128 * g + 17) != 0x7e) continue;
      ++edges;
      EXPECT_EQ(s.failure_after([&](Specimen& m) {
        m.tensor("output_scale").at<float>(0, t, g) *= 2.0f;
        for (int j = 128 * g; j < 128 * (g + 1); ++j) {
          auto& code = m.tensor("output").at<std::uint8_t>(0, t, j);
          code = static_cast<std::uint8_t>((code & 0x80) | ((code & 0x78) > 0x08 ? (code & 0x7f) - 8 : 0));
        }
      }),
                "scales");
    }
  }
  EXPECT_GE(edges, 3);
}

TEST(SiluOp, FindsAMissingClamp) {
  const Specimen s(id(kPowers, "full", "at_limit"));
  Specimen unclamped = s;
  unclamped.call.compile.set("clamp", "0");
  unclamped.result = reference_set().call(unclamped.call);
  EXPECT_NE(s.failure(unclamped.result), "");
}

TEST(SiluOp, TheFootprintIsTheProcessedRowsAndTheirScales) {
  const auto share = [](const std::string& name, const char* argument) {
    const Specimen s(name);
    const auto& footprint = s.call.arg(argument).footprint;
    return std::count(footprint.begin(), footprint.end(), 1);
  };
  // There are 3 experts with 4 rows each. At most tokens * topk = 4 * 2 rows are processed.
  EXPECT_EQ(share(id(kFloats, "full"), "output"), 8 * 512);
  EXPECT_EQ(share(id(kFloats, "full"), "output_scale"), 8 * 4 * 4);
  EXPECT_EQ(share(id(kBytes, "full"), "output_scale"), 8 * 4);
  EXPECT_EQ(share(id(kFloats, "one"), "output"), 4 * 512);
  EXPECT_EQ(share(id(kFloats, "none"), "output"), 0);
  EXPECT_EQ(share(id(kFloats, "surplus"), "output"), 8 * 512);  // at most 8 rows: 4 + 4, and not 1 more
}

TEST(SiluOp, RowsThatAreNotProcessedAreNotCompared) {
  const Specimen s(id(kBytes, "one"));
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    m.tensor("output").at<std::uint8_t>(0, 0, 0) ^= 1;  // a change that only the footprint check finds
    m.tensor("output_scale").storage[0] ^= 1;
  }),
            "");
}

}  // namespace
}  // namespace dsv4::testing
