/// The rounds of an op's own sequences, recorded on the host executor.
#include "harness/bench/rounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "harness/run/scenario_context.h"
#include "harness/sets/set.h"
#include "tests/build_folder.h"

namespace dsv4::bench {
namespace {

std::unique_ptr<Caller> built_set(const std::string& name) {
  return open_set(Manifest::load(testing::build_folder() + "/sets/" + name), known_abis());
}

/// The calls of the first point of a sequence.
std::vector<RecordedCall> calls_of(const std::string& op, const std::string& sequence) {
  for (const Case& c : cases_of(*find_op(op), Tier::kQuick)) {
    if (c.scenario != "sequence:" + sequence) continue;
    const CheckedCase checked = with_definitions(c);
    const auto host = built_set("host"), reference = built_set("reference");
    RecordingCaller recorder(*host);
    CaseResult result;
    TrialContext context(*checked.definition, checked, recorder, *reference, result);
    checked.scenario_definition->run(context);
    return recorder.calls();
  }
  return {};
}

/// The name of argument `arg` of call `call` of the round, and where it comes from: "plan <- plan_decode[0]".
std::vector<std::string> links(const std::vector<RecordedCall>& calls, const Rounds& rounds) {
  std::vector<std::string> texts;
  for (std::size_t call = 0; call < rounds.length; ++call) {
    const std::vector<Arg>& args = calls[rounds.number(0, call)].call.args;
    for (std::size_t arg = 0; arg < args.size(); ++arg) {
      const Source& source = rounds.sources[call][arg];
      if (source.carried) texts.push_back(args[arg].name + " is carried");
      if (!source.made) continue;
      const RecordedCall& from = calls[rounds.number(0, source.made->call)];
      const std::string made =
          source.made->returned ? std::to_string(source.made->index) : from.call.args[source.made->index].name;
      texts.push_back(args[arg].name + " <- " + from.call.op + "." + made);
    }
  }
  return texts;
}

TEST(Rounds, DecodeStepsPlanCompressAndStore) {
  const auto calls = calls_of("compress_norm_rope_store", "plan_compress_store");
  const Rounds rounds = find_rounds(calls);
  ASSERT_EQ(rounds.length, 3u);
  EXPECT_GE(rounds.count, 3u);
  EXPECT_EQ(calls[rounds.number(0, 0)].call.op, "plan_decode");
  EXPECT_EQ(links(calls, rounds), (std::vector<std::string>{"kv_buffer is carried", "plan_d <- plan_decode.0",
                                                            "input <- compress_c4_decode.kv_output",
                                                            "plan <- plan_decode.0", "kvcache is carried"}));
}

TEST(Rounds, VerifyAndDecodeStepsShareTheState) {
  const auto calls = calls_of("compress_c4_decode", "verify_then_decode");
  const Rounds rounds = find_rounds(calls);
  ASSERT_EQ(rounds.length, 4u) << "plan, prefill, plan, decode";
  EXPECT_EQ(rounds.count, 7u);
  const std::vector<std::string> found = links(calls, rounds);
  EXPECT_NE(std::ranges::find(found, "kv_buffer is carried"), found.end());
  EXPECT_NE(std::ranges::find(found, "kv_buffer <- compress_c4_prefill.kv_buffer"), found.end());
}

/// A call of an op with one tensor in and one out.
RecordedCall step(std::vector<std::int64_t> in_values, std::vector<std::int64_t> out_values) {
  RecordedCall made;
  made.call.op = "some_op";
  made.call.args = {in("x", HostTensor::of(DType::kI64, in_values)), out("y", HostTensor::of(DType::kI64, out_values))};
  made.result.args = made.call.args;
  return made;
}

TEST(Rounds, OtherShapesAndHostTensorsEndThem) {
  EXPECT_EQ(find_rounds({}).count, 0u);
  EXPECT_EQ(find_rounds({step({1}, {2})}).count, 0u);
  EXPECT_EQ(find_rounds({step({1}, {2}), step({1, 1}, {2})}).count, 0u);
  EXPECT_EQ(find_rounds({step({1}, {2}), step({3}, {4}), step({5, 5}, {6})}).count, 2u);
  std::vector<RecordedCall> on_host{step({1}, {2}), step({3}, {4})};
  on_host[1].call.args[0].place = Place::kHost;
  EXPECT_EQ(find_rounds(on_host).count, 0u);
}

TEST(Rounds, ASourceHasTheBytesInEveryRound) {
  const auto made_by = [](const Rounds& rounds) { return rounds.sources[1][0].made; };
  // Two calls in a round: the second takes what the first makes.
  std::vector<RecordedCall> calls{step({1}, {2}), step({2}, {5}), step({3}, {4}), step({4}, {6})};
  calls[1].call.op = calls[3].call.op = "other_op";
  EXPECT_EQ(made_by(find_rounds(calls)), (Made{0, false, 1}));
  calls[2].result.args[1].tensor() = HostTensor::of<std::int64_t>(DType::kI64, {7});
  EXPECT_EQ(made_by(find_rounds(calls)), std::nullopt);
}

}  // namespace
}  // namespace dsv4::bench
