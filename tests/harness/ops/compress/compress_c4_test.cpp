#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {
namespace {

using ::testing::AnyOf;

const std::string kPrefill =
    "compress_c4_prefill/"
    "head_dim=128,ring=8,fill=gauss,order=shuffled,batch=5,len=21,spread=stagger,extend=9,mix=mixed,"
    "slack=2/seed=1";
const std::string kDecode = "compress_c4_decode/head_dim=128,ring=8,fill=gauss,batch=9,len=1,spread=stagger/seed=1";

/// Index, counted in floats, of the first element that the call may write.
std::int64_t first_written(const Call& call, const std::string& name) {
  const auto& footprint = call.arg(name).footprint;
  return (std::ranges::find(footprint, std::uint8_t{1}) - footprint.begin()) / 4;
}

TEST(CompressOps, SmokeCasesAreCallable) {
  for (const char* op : {"plan_prefill", "plan_decode", "plan_prefill_legacy", "plan_decode_legacy",
                         "plan_compress_prefill", "compress_c4_prefill", "compress_c4_decode", "compress_c4_prefill_v1",
                         "compress_c4_decode_v1", "compress_c128_prefill_v1", "compress_c128_decode_v1"}) {
    expect_tier_is_callable(op, Tier::kSmoke);
  }
}

TEST(CompressOps, AcceptTheResultOfTheReference) {
  for (const std::string& id : {kPrefill, kDecode}) {
    const Specimen s(id);
    EXPECT_EQ(s.failure(s.result), "") << id;
  }
}

TEST(CompressOps, FindAnEntryThatIsALittleOff) {
  for (const std::string& id : {kPrefill, kDecode}) {
    const Specimen s(id);
    EXPECT_EQ(s.failure_after([](Specimen& m) {
      float& x = m.tensor("kv_output").data<float>()[first_written(m.call, "kv_output")];
      x += 1e-5f;
    }),
              "kv_output")
        << id;
  }
}

TEST(CompressOps, FindAnEntryThatIsNan) {
  const Specimen s(kPrefill);
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    m.tensor("kv_output").data<float>()[first_written(m.call, "kv_output")] = std::nanf("");
  }),
            "kv_output");
}

TEST(CompressOps, FindAKeptRowWithOneWrongBit) {
  for (const std::string& id : {kPrefill, kDecode}) {
    const Specimen s(id);
    EXPECT_EQ(s.failure_after([](Specimen& m) {
      m.tensor("kv_buffer").storage[static_cast<std::size_t>(4 * first_written(m.call, "kv_buffer"))] ^= 1;
    }),
              "kept_rows")
        << id;
  }
}

TEST(CompressOps, FindAPlanWithAWrongPageOrALostEntry) {
  const Specimen s(
      "plan_prefill/ratio=4,ring=8,page=256,pages=shuffled,lens=device,graph=1,batch=5,len=21,spread=stagger,extend=6,"
      "mix=mixed,slack=3/seed=1");
  EXPECT_EQ(s.failure(s.result), "");
  EXPECT_EQ(s.failure_after([](Specimen& m) {
    auto& plan = std::get<HostTensor>(m.result.returned.at(1));
    plan.storage[4] ^= 4;  // the same place in another page, which only the comparison finds
  }),
            "write_plan");
  EXPECT_THAT(s.failure_after([](Specimen& m) {
    auto& plan = std::get<HostTensor>(m.result.returned.at(0));
    std::fill_n(plan.storage.begin(), 16, std::uint8_t{0xff});  // a sentinel replaces the entry
  }),
              AnyOf("sentinel", "count"));
}

}  // namespace
}  // namespace dsv4::testing
