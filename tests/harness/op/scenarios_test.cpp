#include "harness/op/scenarios.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "harness/op/rows.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

/// Returns the function of PlusOp. Its result is right unless `fault` changes y.
std::function<void(Call&)> plus(std::function<void(const Call&, HostTensor& y)> fault = {}) {
  return [fault = std::move(fault)](Call& call) {
    HostTensor y = call.tensor("x");
    for (std::int64_t i = 0; i < y.numel(); ++i)
      y.data<std::int32_t>()[i] += static_cast<std::int32_t>(std::get<std::int64_t>(call.arg("plus").value));
    if (fault) fault(call, y);
    call.arg("y").tensor() = y;
  };
}

/// The number of pairs that the scenario compared, and whether all of them agree.
struct Outcome {
  std::size_t pairs = 0;
  bool agree = true;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const Scenario& scenario, std::function<void(Call&)> function,
                   std::vector<CallOptions>* options = nullptr) {
  const PlusOp op;
  const Case c{"plus", scenario.label(), op.points(Tier::kSmoke).front(), 1};
  FunctionCaller caller(std::move(function), options);
  Recorder recorder(op, c, caller);
  scenario.run(recorder);
  Outcome outcome{.pairs = recorder.pairs.size()};
  for (const auto& [got, want] : recorder.pairs) {
    const HostTensor& a = got.output("y");
    const HostTensor& b = want.output("y");
    outcome.agree = outcome.agree && a.shape == b.shape && a.storage == b.storage;
  }
  return outcome;
}

TEST(Scenarios, PointsBelongToATier) {
  const Params one = Params().set("rows", 1), two = Params().set("rows", 2);
  const auto rows = [](const Points& points, Tier tier) {
    std::vector<std::int64_t> list;
    for (const Params& p : points(tier)) list.push_back(p.integer("rows"));
    return list;
  };
  EXPECT_EQ(rows(only({one, two}), Tier::kSmoke), (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(only({one, two})(Tier::kQuick).empty());
  const Points more = only({one}, {two});
  EXPECT_EQ(rows(more, Tier::kSmoke), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(rows(more, Tier::kQuick), (std::vector<std::int64_t>{2}));
  EXPECT_TRUE(more(Tier::kFull).empty());
  EXPECT_FALSE(relation("r", "m", kFirstSmokePoint, [](ScenarioContext&) {}).points);
}

TEST(Scenarios, RepeatFindsAResultThatChanges) {
  EXPECT_EQ(outcome_of(repeat_relation(), plus()), (Outcome{3, true}));
  std::int32_t calls = 0;
  const auto counts = plus([&calls](const Call&, HostTensor& y) { y.data<std::int32_t>()[0] += calls++; });
  EXPECT_EQ(outcome_of(repeat_relation(), counts), (Outcome{3, false}));
}

TEST(Scenarios, ALateArgumentHeldOtherValuesBefore) {
  std::vector<CallOptions> options;
  const Scenario late = late_relation("x", kFirstSmokePoint);
  EXPECT_EQ(late.label(), "relation:late_x");
  EXPECT_TRUE(late.needs_overlap);
  EXPECT_EQ(outcome_of(late, plus(), &options), (Outcome{2, true}));
  ASSERT_EQ(options.size(), 3U);
  EXPECT_TRUE(options[0].late.empty());
  const auto now = PlusOp().make({"plus", "", PlusOp().points(Tier::kSmoke).front(), 1}).tensor("x").storage;
  for (const CallOptions& o : {options[1], options[2]}) {
    ASSERT_EQ(o.late.size(), 1U);
    EXPECT_EQ(o.late[0].name, "x");
    EXPECT_EQ(o.late[0].earlier.size(), now.size());
    EXPECT_NE(o.late[0].earlier, now);
    EXPECT_FALSE(o.late_allocations);
  }
  EXPECT_NE(options[1].late[0].earlier, options[2].late[0].earlier);
  // The earlier values are ordinary values of x: each of them also occurs among the present values.
  const auto first = [](const std::vector<std::uint8_t>& bytes) {
    std::int32_t n = 0;
    std::memcpy(&n, bytes.data(), sizeof n);
    return n;
  };
  EXPECT_EQ(first(options[1].late[0].earlier), 0);
  EXPECT_EQ(first(options[2].late[0].earlier), 12);
  const auto differs = [n = 0](const Call&, HostTensor& y) mutable { y.data<std::int32_t>()[0] += n++ / 2; };
  EXPECT_EQ(outcome_of(late, plus(differs)), (Outcome{2, false}));
}

TEST(Scenarios, MemoryThatTheFunctionAllocatesMayBeLate) {
  std::vector<CallOptions> options;
  const Scenario late = late_allocation_relation(kFirstSmokePoint);
  EXPECT_EQ(late.label(), "relation:late_allocated");
  EXPECT_TRUE(late.needs_overlap);
  EXPECT_EQ(outcome_of(late, plus(), &options), (Outcome{1, true}));
  ASSERT_EQ(options.size(), 2U);
  EXPECT_FALSE(options[0].late_allocations);
  EXPECT_TRUE(options[1].late_allocations);
}

TEST(Scenarios, ParamsRelationComparesWithTheCallOfOtherParameters) {
  const auto with_plus = [](std::int64_t n) {
    return params_relation("plus", "m", kFirstSmokePoint, [n](Params& p) { p.set("plus", n); });
  };
  EXPECT_EQ(outcome_of(with_plus(3), plus()), (Outcome{1, true}));
  EXPECT_EQ(outcome_of(with_plus(4), plus()), (Outcome{1, false}));
}

TEST(Scenarios, AChangedCallIsComparedWithTheChangedObservation) {
  const auto moved = [](std::int32_t by) {
    return call_relation("moved", "m", kFirstSmokePoint, [by](Case&, Call& call, Observation& want) {
      for (std::int64_t i = 0; i < 24; ++i) {
        call.arg("x").tensor().data<std::int32_t>()[i] += 7;
        want.outputs[0].value.data<std::int32_t>()[i] += by;
      }
    });
  };
  EXPECT_EQ(outcome_of(moved(7), plus()), (Outcome{1, true}));
  EXPECT_EQ(outcome_of(moved(6), plus()), (Outcome{1, false}));
}

TEST(Scenarios, ABatchInTwoCallsFindsRowsThatDependOnOthers) {
  std::vector<std::int64_t> sizes;
  const Scenario batch =
      batch_relation("m", kFirstSmokePoint, [&sizes](Call& call, const std::vector<std::int64_t>& rows) {
        sizes.push_back(std::ssize(rows));
        keep_rows(call, {"x", "y"}, rows);
      });
  EXPECT_EQ(batch.label(), "relation:any_batch");
  EXPECT_EQ(outcome_of(batch, plus()), (Outcome{2, true}));
  EXPECT_EQ(sizes, (std::vector<std::int64_t>{2, 10}));
  const auto counts_rows = plus([](const Call&, HostTensor& y) {
    if (y.size(0) < 12) ++y.data<std::int32_t>()[0];
  });
  EXPECT_EQ(outcome_of(batch, counts_rows), (Outcome{2, false}));
}

}  // namespace
}  // namespace dsv4::testing
