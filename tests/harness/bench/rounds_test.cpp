/// The rounds of an op's own sequences, recorded on the host executor.
#include "harness/bench/rounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
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

TEST(Rounds, CallsOfOtherOpsScalarsAndVariantsAreNotAlike) {
  const std::vector<RecordedCall> alike{step({1}, {2}), step({3}, {4})};
  ASSERT_EQ(find_rounds(alike).count, 2u);
  const auto rounds_after = [&](const std::function<void(RecordedCall&)>& change) {
    std::vector<RecordedCall> calls = alike;
    change(calls[1]);
    return find_rounds(calls).count;
  };
  EXPECT_EQ(rounds_after([](RecordedCall& c) { c.call.op = "other_op"; }), 0u);
  EXPECT_EQ(rounds_after([](RecordedCall& c) { c.call.compile = Params().set("page", std::int64_t{64}); }), 0u);
  EXPECT_EQ(rounds_after([](RecordedCall& c) { c.call.args.push_back(scalar("n", std::int64_t{1})); }), 0u);
  EXPECT_EQ(rounds_after([](RecordedCall& c) { c.result.refusal = "no"; }), 0u);
}

/// Rounds of three calls: the first makes {2 i}, the second changes it in place to {3 i}, the third takes `third(i)`.
std::vector<RecordedCall> three_calls(Role role_of_third, const std::function<std::int64_t(std::int64_t)>& third) {
  std::vector<RecordedCall> calls;
  for (const std::int64_t i : {1, 5}) {
    const auto one = [](std::int64_t value) { return HostTensor::of<std::int64_t>(DType::kI64, {value}); };
    calls.push_back(step({i}, {2 * i}));
    RecordedCall change;
    change.call.op = "change";
    change.call.args = {inout("z", one(2 * i))};
    change.result.args = {inout("z", one(3 * i))};
    calls.push_back(change);
    RecordedCall take;
    take.call.op = "take";
    take.call.args = {in("x", one(third(i)))};
    take.call.args[0].role = role_of_third;
    take.result.args = take.call.args;
    calls.push_back(take);
  }
  return calls;
}

TEST(Rounds, OverwrittenMemoryAndOutputsAreNotSources) {
  const auto source = [](const std::vector<RecordedCall>& calls) { return find_rounds(calls).sources[2][0].made; };
  const auto changed = [](std::int64_t i) { return 3 * i; };
  EXPECT_EQ(source(three_calls(Role::kIn, changed)), (Made{1, false, 0}));
  EXPECT_EQ(source(three_calls(Role::kOut, changed)), std::nullopt) << "what an output holds before the call is unused";
  EXPECT_EQ(source(three_calls(Role::kIn, [](std::int64_t i) { return 2 * i; })), std::nullopt)
      << "the second call has overwritten it";
}

}  // namespace
}  // namespace dsv4::bench
