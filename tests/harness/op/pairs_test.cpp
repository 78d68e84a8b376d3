#include "harness/op/pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/core/error.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

HostTensor rows_of_numbers(std::int64_t rows) {
  HostTensor t = HostTensor::make(DType::kI32, {rows, 2});
  for (std::int64_t i = 0; i < t.numel(); ++i) t.data<std::int32_t>()[i] = static_cast<std::int32_t>(10 + i);
  return t;
}

/// A kernel set with a producer, "made", and a consumer, "plus".
class PairSet final : public Caller {
 public:
  explicit PairSet(std::string name) : name_(std::move(name)) {}

  CallResult call(const Call& call, const CallOptions& options) override {
    CallResult result;
    result.args = call.args;
    if (call.op == lacks) throw Unsupported("no " + call.op);
    if (call.op == "made") {
      EXPECT_TRUE(options.watch_late_writes);
      result.returned.emplace_back(rows_of_numbers(4));
      result.late.returned.push_back(late);
      return result;
    }
    late_options.push_back(options.late);
    Call seen = call;
    if (reads_early) {
      for (const LateArgument& argument : options.late) seen.arg(argument.name).tensor().storage = argument.earlier;
    }
    HostTensor y = seen.tensor("x");
    for (std::int64_t i = 0; i < y.numel(); ++i)
      y.data<std::int32_t>()[i] += static_cast<std::int32_t>(std::get<std::int64_t>(call.arg("plus").value));
    result.args[1].value = y;
    return result;
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return in_tree; }
  [[nodiscard]] bool shows_overlap() const override { return true; }

  std::vector<std::uint8_t> late;  ///< late bytes of what "made" returns
  bool reads_early = false;
  bool in_tree = true;
  std::string lacks;
  std::vector<std::vector<LateArgument>> late_options;

 private:
  std::string name_;
};

class PlusAfterMade final : public Op {
 public:
  PlusAfterMade() : Op({.name = "plus", .family = "test", .summary = "", .upstream = "", .abis = {"plus/1"}}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override { return {Params().set("rows", 4).set("plus", 3)}; }
  [[nodiscard]] Call make(const Case& c) const override { return PlusOp().make(c); }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    return Observation().add("y", result.tensor("y"));
  }
  [[nodiscard]] std::vector<Pair> pairs() const override {
    return {{.producer = "made",
             .takes = {"x"},
             .points = {},
             .produce =
                 [](const Case&) {
                   return Call{"made", "", {}, {}};
                 },
             .consume =
                 [this](const Case& c, const std::vector<HostTensor>& produced) {
                   Call call = make(c);
                   call.arg("x").tensor() = produced.at(0);
                   return call;
                 }}};
  }
};

/// Runs the pair. Returns the where's of the comparisons that fail.
struct Ran {
  int compared = 0;
  std::vector<std::string> wrong;
  std::vector<std::string> told;
};

class PairRecorder final : public ScenarioContext {
 public:
  PairRecorder(const Op& o, const Case& k, Caller& s, Caller& r, Caller* second) : ScenarioContext(o, k, s, r) {
    other = second;
  }
  void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                    const Tolerances&) override {
    ++ran.compared;
    if (got.output("y").storage != want.output("y").storage) ran.wrong.push_back(where);
  }
  void expect_refused(const std::string&, const Call&, const std::string&, const std::string&) override {}
  void expect_clean(const std::string&, const Call&) override {}
  void fail(const std::string&, const std::string& detail) override { ran.wrong.push_back(detail); }
  void compared(std::int64_t) override {}
  void tell(const std::string& sentence) override { ran.told.push_back(sentence); }
  CallResult call(const std::string&, const Call& call, const CallOptions& options) override {
    return subject.call(call, options);
  }
  Ran ran;
};

Ran run_pair(PairSet& subject, Caller* other) {
  const PlusAfterMade op;
  PairSet truth("reference");
  const Scenario scenario = pair_relation(op.pairs().front());
  EXPECT_EQ(scenario.label(), "relation:after_made");
  EXPECT_TRUE(scenario.needs_overlap);
  const Case c{"plus", scenario.label(), op.points(Tier::kSmoke).front(), 1};
  PairRecorder recorder(op, c, subject, truth, other);
  scenario.run(recorder);
  return recorder.ran;
}

/// Row 1 is late.
std::vector<std::uint8_t> second_row() {
  std::vector<std::uint8_t> late(4 * 8);
  std::fill_n(late.begin() + 8, 8, 1);
  return late;
}

TEST(Pairs, AConsumerThatWaitsIsRightInEveryMix) {
  PairSet a("a"), b("b");
  a.late = b.late = second_row();
  const Ran ran = run_pair(a, &b);
  EXPECT_EQ(ran.compared, 8);  // four mixes, each with two contents before the late writes
  EXPECT_TRUE(ran.wrong.empty());
  EXPECT_THAT(ran.told, ElementsAre("made -> plus: ran 4 of 4 mixes (a -> a, a -> b, b -> a, b -> b)"));
}

TEST(Pairs, AnEarlyReaderIsWrongOnlyBehindAProducerThatWritesLate) {
  PairSet a("a"), b("b");
  a.late = second_row();
  b.reads_early = true;
  const Ran ran = run_pair(a, &b);
  EXPECT_EQ(ran.compared, 6);
  EXPECT_THAT(ran.wrong, ElementsAre("made(a) -> plus(b), late fields were zeros",
                                     "made(a) -> plus(b), late fields were those of other rows"));
}

TEST(Pairs, WithoutAnotherKernelSetOnlyOneMixRuns) {
  PairSet a("a");
  const Ran ran = run_pair(a, nullptr);
  EXPECT_EQ(ran.compared, 1);
  ASSERT_EQ(ran.told.size(), 1u);
  EXPECT_THAT(ran.told[0], HasSubstr("ran in 1 of 4 mixes, both from 'a'; for the others, name a second kernel set"));
}

TEST(Pairs, AMixThatCannotRunIsTold) {
  PairSet a("a"), b("b");
  b.lacks = "made";
  const Ran ran = run_pair(a, &b);
  ASSERT_EQ(ran.told.size(), 1u);
  EXPECT_THAT(ran.told[0], HasSubstr("ran 2 of 4 mixes (a -> a, a -> b); not run: made(b): no made"));
  a.lacks = "made";
  EXPECT_THROW((void)run_pair(a, &b), Unsupported);
}

TEST(Pairs, BeforeLateWritesOnlyLateFieldsHoldOtherValues) {
  PairSet a("a");
  a.late = second_row();
  a.late[9] = 0;  // a field is late if one of its bytes is
  a.late[13] = 0;
  (void)run_pair(a, nullptr);
  ASSERT_EQ(a.late_options.size(), 2u);
  const auto numbers = [](const std::vector<LateArgument>& late) {
    HostTensor t = rows_of_numbers(4);
    EXPECT_EQ(late.at(0).name, "x");
    t.storage = late.at(0).earlier;
    return std::vector<std::int32_t>(t.data<std::int32_t>(), t.data<std::int32_t>() + 8);
  };
  EXPECT_THAT(numbers(a.late_options[0]), ElementsAre(10, 11, 0, 0, 14, 15, 16, 17));
  EXPECT_THAT(numbers(a.late_options[1]), ElementsAre(10, 11, 16, 17, 14, 15, 16, 17));
}

/// A set whose calls write late.
class LateWriter final : public Caller {
 public:
  explicit LateWriter(bool in_tree) : in_tree_(in_tree) {}
  CallResult call(const Call& call, const CallOptions& options) override {
    CallResult result;
    result.args = call.args;
    if (!options.watch_late_writes) return result;
    result.late.findings = {{"written_late", "kernel k wrote 8 bytes to 'y' after it let the next kernel go"}};
    return result;
  }
  [[nodiscard]] const std::string& name() const override {
    static const std::string kName = "late";
    return kName;
  }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return in_tree_; }

 private:
  bool in_tree_;
};

Ran run_watch(bool in_tree) {
  const PlusOp op;
  LateWriter set(in_tree);
  const Scenario scenario = writes_before_next_relation({});
  EXPECT_EQ(scenario.label(), "relation:writes_before_next");
  EXPECT_TRUE(scenario.needs_overlap);
  const Case c{"plus", scenario.label(), op.points(Tier::kSmoke).front(), 1};
  PairRecorder recorder(op, c, set, set, nullptr);
  scenario.run(recorder);
  return recorder.ran;
}

TEST(Pairs, ALateWriteFailsOnlyASetThatPromisesNone) {
  const Ran ours = run_watch(true);
  EXPECT_THAT(ours.wrong, ElementsAre("kernel k wrote 8 bytes to 'y' after it let the next kernel go"));
  EXPECT_TRUE(ours.told.empty());
  const Ran upstream = run_watch(false);
  EXPECT_TRUE(upstream.wrong.empty());
  ASSERT_EQ(upstream.told.size(), 1u);
  EXPECT_THAT(upstream.told[0], HasSubstr("a kernel of 'late' writes after it let the next kernel begin"));
}

}  // namespace
}  // namespace dsv4::testing
