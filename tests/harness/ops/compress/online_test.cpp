#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/online_plans.h"
#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(OnlineOps, SmokeCasesAreCallable) {
  for (const char* op :
       {"plan_prefill_online", "plan_decode_online", "plan_compress_online_prefill", "compress_c128_online_prefill",
        "compress_c128_online_decode", "compress_c128_online_prefill_v1", "compress_c128_online_decode_v1"}) {
    expect_tier_is_callable(op, Tier::kSmoke);
  }
}

TEST(OnlineOps, FindASumOrAMeanThatIsALittleOff) {
  // Block 1 of a slot holds sums, and block 2 means.
  for (const std::int64_t block : {0, 1, 2}) {
    const Specimen s("compress_c128_online_decode/state=f32,fill=gauss,batch=9,len=124,spread=stagger/seed=1");
    EXPECT_EQ(s.failure(s.result), "");
    EXPECT_EQ(s.failure_after([block](Specimen& m) {
      const auto& footprint = m.call.arg("kv_buffer").footprint;
      const auto first = (std::ranges::find(footprint, std::uint8_t{1}) - footprint.begin()) / 4;
      float& x = m.tensor("kv_buffer").data<float>()[first + 512 * block];
      x = block == 0 ? std::nextafter(x, 100.0f) : x * (1 + 1e-5f);
    }),
              "kept_rows")
        << block;
  }
}

TEST(OnlineOps, FindAPlanWithAWrongSlotOrALostSegment) {
  const Specimen s(
      "plan_prefill_online/page=64,pages=shuffled,batch=3,len=255,spread=stagger,extend=130,mix=last_differs/seed=1");
  EXPECT_EQ(s.failure(s.result), "");
  EXPECT_EQ(s.failure_after([](Specimen& m) { m.tensor("plan_c_dev").storage[8] ^= 1; }), "compress_plan");
  EXPECT_THAT(
      s.failure_after([](Specimen& m) { std::fill_n(m.tensor("plan_c_dev").storage.begin(), 16, std::uint8_t{0xff}); }),
      AnyOf("sentinel", "tiling"));
  EXPECT_EQ(s.failure_after([](Specimen& m) { m.tensor("plan_w_dev").storage[6] ^= 1; }), "content");
}

std::string first_detail(OnlineSlots& slots) {
  const auto findings = slots.take_findings();
  return findings.empty() ? "" : findings.front().detail;
}

TEST(OnlineSlotMap, ASegmentNeedsTheEarlierTokensOfItsGroup) {
  OnlineSlots slots;
  slots.begin("step");
  const Batch first{{7}, {130}, {130}}, second{{7}, {133}, {3}};
  slots.prefill(first, {{128, 127, 128, 4, -1}}, {{130, 129, 2, 5, -1}});
  EXPECT_THAT(slots.take_findings(), IsEmpty());
  slots.prefill(second, {}, {{133, 2, 3, 5, -1}});
  EXPECT_THAT(slots.take_findings(), IsEmpty());
  slots.check_open(7, 133, 5);
  EXPECT_THAT(slots.take_findings(), IsEmpty());
  slots.check_open(7, 134, 5);
  EXPECT_THAT(first_detail(slots), HasSubstr("positions 128 to 133 of request 7 in slot 5, which holds positions 128"));
  slots.prefill(second, {}, {{133, 2, 3, 6, -1}});
  EXPECT_THAT(first_detail(slots), HasSubstr("in slot 6, which holds nothing"));
}

TEST(OnlineSlotMap, ADecodeStepGoesOnWithTheGroup) {
  OnlineSlots slots;
  const auto step = [&](std::int64_t id, std::uint32_t length, std::int32_t from, std::int32_t to) {
    slots.decode({{id}, {length}, {1}}, {DecodePlan{length, to, from, -1}});
    return first_detail(slots);
  };
  EXPECT_EQ(step(3, 129, 9, 2), "");  // the first token of a group reads no slot
  EXPECT_EQ(step(3, 130, 2, 2), "");
  EXPECT_THAT(step(4, 131, 2, 2), HasSubstr("positions 128 to 129 of request 4"));
  EXPECT_THAT(step(3, 132, 1, 1), HasSubstr("which holds nothing"));
}

}  // namespace
}  // namespace dsv4::testing
