#include "harness/golden/entry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/harness/golden/support.h"

namespace dsv4 {
namespace {

using namespace golden_test;

TEST(GoldenEntry, KeepsSmallOutputsInFullAndASampleOfLargeOnes) {
  probe_op();
  FakeCaller set = honest();
  FakeCaller reference = honest("reference", true);
  const auto small = record_case(probe(64, "exact"), {set, reference, reference}).entry.value();
  ASSERT_EQ(small.outputs.size(), 2U);
  EXPECT_TRUE(small.outputs[0].full());
  EXPECT_EQ(small.outputs[0].kept.size(), 256U);
  EXPECT_EQ(small.outputs[0].output().value.shape, (Shape{4, 16}));
  const auto large = record_case(probe(65, "exact"), {set, reference, reference}).entry.value();
  EXPECT_FALSE(large.outputs[0].full());
  EXPECT_EQ(large.outputs[0].kept.size(), 32U * 4);
  EXPECT_EQ(large.outputs[0].blocks.size(), 1U);
  EXPECT_THROW((void)large.outputs[0].output(), Error);
  EXPECT_EQ(large.set, "good");
  EXPECT_EQ(large.verdict, Verdict::kPassed);
  EXPECT_EQ(large.outputs[0].tolerance, "exact");
}

TEST(GoldenEntry, KeepsToleranceAndTightness) {
  probe_op();
  FakeCaller set = off_by(3, 0.0005F);
  FakeCaller reference = honest("reference", true);
  const auto entry = record_case(probe(8, "bound"), {set, reference, reference}).entry.value();
  EXPECT_EQ(entry.outputs[0].tolerance, "bound");
  EXPECT_NEAR(entry.tightness(), 0.5, 0.01);
}

TEST(GoldenEntry, JsonRoundTripIsExact) {
  for (const GoldenEntry& e : sample_golden().entries) {
    const nlohmann::json j = e;
    const auto back = nlohmann::json::parse(j.dump()).get<GoldenEntry>();
    EXPECT_EQ(nlohmann::json(back), j) << e.id;
    EXPECT_EQ(back.outputs[0].kept, e.outputs[0].kept);
    EXPECT_EQ(back.outputs[0].blocks, e.outputs[0].blocks);
  }
}

TEST(GoldenEntry, JsonRefusesInconsistentEntries) {
  const nlohmann::json good = sample_golden().entries[2];
  const auto refused = [&](const char* what, auto change) {
    nlohmann::json j = good;
    change(j);
    EXPECT_ANY_THROW((void)j.get<GoldenEntry>()) << what;
  };
  refused("verdict", [](auto& j) { j["verdict"] = "fine"; });
  refused("dtype", [](auto& j) { j["outputs"][0]["dtype"] = "f33"; });
  refused("negative shape", [](auto& j) { j["outputs"][0]["shape"] = {-4, 16}; });
  refused("overflowing shape", [](auto& j) { j["outputs"][0]["shape"] = {1LL << 40, 1LL << 40}; });
  refused("bytes cut off", [](auto& j) { j["outputs"][0]["kept"] = "00"; });
  refused("bytes changed", [](auto& j) {
    std::string kept = j["outputs"][0]["kept"];
    kept[0] = kept[0] == '0' ? '1' : '0';
    j["outputs"][0]["kept"] = kept;
  });
  refused("no digest", [](auto& j) { j["outputs"][0].erase("digest"); });
}

TEST(GoldenEntry, RefusesScenariosErrorsAndRefusals) {
  probe_op();
  FakeCaller set = honest();
  CaseResult judged;
  judged.set_name = "good";
  judged.verdict = Verdict::kPassed;
  Case c = probe(8, "exact");
  const Call call = probe_op().make(c);
  Response response;
  response.result = set.call(call, {});
  response.observation = probe_op().observe(c, call, response.result);
  EXPECT_NO_THROW(make_entry(c, call, response, judged));
  c.scenario = "relation:repeat";
  EXPECT_THROW(make_entry(c, call, response, judged), Error);
  c.scenario.clear();
  judged.verdict = Verdict::kError;
  EXPECT_THROW(make_entry(c, call, response, judged), Error);
  judged.verdict = Verdict::kPassed;
  response.result.refusal = "no";
  EXPECT_THROW(make_entry(c, call, response, judged), Error);
}

TEST(RecordCase, GivesNoEntryWithoutAResult) {
  probe_op();
  FakeCaller reference = honest("reference", true);
  FakeCaller refuses = honest();
  refuses.refusal = "n is odd";
  const auto refused = record_case(probe(9, "exact"), {refuses, reference, reference});
  EXPECT_EQ(refused.result.verdict, Verdict::kError);
  EXPECT_FALSE(refused.entry.has_value());
  FakeCaller lacks = honest();
  lacks.unsupported = true;
  const auto unsupported = record_case(probe(9, "exact"), {lacks, reference, reference});
  EXPECT_EQ(unsupported.result.verdict, Verdict::kUnsupported);
  EXPECT_FALSE(unsupported.entry.has_value());
}

TEST(RecordCase, KeepsAWrongResultWithItsVerdict) {
  probe_op();
  FakeCaller reference = honest("reference", true);
  FakeCaller wrong = off_by(2, 1);
  const auto recorded = record_case(probe(9, "exact"), {wrong, reference, reference});
  EXPECT_EQ(recorded.result.verdict, Verdict::kFailed);
  EXPECT_EQ(recorded.entry.value().verdict, Verdict::kFailed);
}

}  // namespace
}  // namespace dsv4
