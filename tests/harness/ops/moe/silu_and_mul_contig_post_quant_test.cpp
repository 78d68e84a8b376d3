#include <gtest/gtest.h>

#include "harness/op/derived.h"
#include "harness/op/far.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

Specimen specimen(const char* layout, const char* rows = "rows=3,dim=1024") {
  return Specimen(std::string("silu_and_mul_contig_post_quant/") + rows + "," + layout + ",limit=10,fill=gauss/seed=1");
}
const char* const kFloats = "ue8m0=0,swizzle=0,transposed=0,pad=0";
const char* const kBytes = "ue8m0=1,swizzle=1,transposed=1,pad=4";

TEST(SiluContigOp, TiersAreCallable) {
  expect_tier_is_callable("silu_and_mul_contig_post_quant", Tier::kSmoke);
  expect_tier_is_callable("silu_and_mul_contig_post_quant", Tier::kQuick);
}

TEST(SiluContigOp, FindsACodeThatIsOneStepOff) {
  for (const char* layout : {kFloats, kBytes}) {
    const Specimen s = specimen(layout);
    int caught = 0, tried = 0;
    for (int j = 0; j < 1024; j += 5, ++tried) {
      const auto step = [j](Specimen& m) {
        auto& code = m.tensor("output").at<std::uint8_t>(2, j);
        code = static_cast<std::uint8_t>((code & 0x7f) == 0x7e ? code - 1 : code + 1);
      };
      caught += s.failure_after(step) == "codes" ? 1 : 0;
    }
    EXPECT_GE(caught, tried - 1) << layout;  // for a value on the boundary between two codes, both are right
  }
}

// A column of scales has 4 words for 3 rows, and 4 more of padding. The last bytes belong to no row.
TEST(SiluContigOp, FindsAWrongScaleByteOfEachRowAndColumn) {
  const Specimen s = specimen(kBytes);
  ASSERT_EQ(s.call.tensor("output_scale").storage.size(), 2u * 8 * 4);
  for (std::size_t byte = 0; byte < 64; ++byte) {
    const bool padding = byte / 4 % 8 >= 3;
    const std::string found = s.failure_after([byte](Specimen& m) { ++m.tensor("output_scale").storage[byte]; });
    EXPECT_EQ(found.empty(), padding) << byte;
  }
}

TEST(SiluContigOp, FitTransposesTheScalesOfAPartOfTheRows) {
  const Op& op = *find_op("silu_and_mul_contig_post_quant");
  Call call = specimen(kBytes).call;
  keep_batch(op, call, {2, 0});
  EXPECT_EQ(call.tensor("output_scale").shape, (Shape{2, 2}));
  EXPECT_EQ(call.tensor("output_scale").strides, (Shape{1, 4}));
  const CallResult result = reference_set().call(call);
  EXPECT_FALSE(result.refusal.has_value()) << result.refusal.value_or("");
}

TEST(SiluContigOp, ScalesFrom32BitsOnAreFar) {
  Specimen s = specimen(kBytes, "rows=3,dim=1536");
  const auto far = [&](std::int64_t row, std::int64_t group) {
    return s.op.element_facts(s.c, s.call).at("far_scale").at<std::int64_t>(row, group);
  };
  for (std::int64_t g = 0; g < 12; ++g) EXPECT_EQ(far(2, g), 0);
  move_apart("output_scale", 1)(s.call);
  for (std::int64_t g = 0; g < 12; ++g) EXPECT_EQ(far(2, g), g < 4 ? 0 : 1);
}

}  // namespace
}  // namespace dsv4::testing
