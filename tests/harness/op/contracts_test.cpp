#include "harness/op/contracts.h"

#include <gtest/gtest.h>

#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

/// Runs the scenario at the op's first smoke point. Returns the refusal that the scenario asks for.
Recorder::Refusal refusal_of(const Scenario& scenario) {
  const PlusOp op;
  const Case c{"plus", scenario.label(), op.points(Tier::kSmoke).front(), 1};
  FunctionCaller caller([](Call&) {});
  Recorder recorder(op, c, caller);
  scenario.run(recorder);
  EXPECT_TRUE(recorder.edges.empty());
  EXPECT_EQ(recorder.refusals.size(), 1u);
  return recorder.refusals.at(0);
}

TEST(Contracts, AreAddedInOrderOnTheSamePoints) {
  std::vector<Scenario> list{relation("first", "m", kFirstSmokePoint, [](ScenarioContext&) {})};
  Contracts contracts(list, only({Params().set("rows", 4)}));
  contracts.integer("too_much", "m", "plus", 1 << 20);
  contracts.wrong_form("x", DType::kI64);
  contracts.misplaced("x", Place::kHost);
  contracts.replaced("marked", "m", "y", HostTensor::make(DType::kI32, {1})).needs_device = true;
  std::vector<std::string> labels;
  for (const Scenario& s : list) labels.push_back(s.label());
  EXPECT_EQ(labels, (std::vector<std::string>{"relation:first", "contract:too_much", "contract:x_dtype",
                                              "contract:x_rank", "contract:x_on_host", "contract:marked"}));
  EXPECT_EQ(list[2].points(Tier::kSmoke).at(0).integer("rows"), 4);
  EXPECT_FALSE(list[3].needs_device);
  EXPECT_TRUE(list[4].needs_device);
  EXPECT_TRUE(list[5].needs_device);
}

TEST(Contracts, ChangeTheNamedArgumentAndNothingElse) {
  std::vector<Scenario> list;
  Contracts contracts(list);
  const HostTensor whole = PlusOp().make({"plus", "", PlusOp().points(Tier::kSmoke).front(), 1}).tensor("y");

  Recorder::Refusal r = refusal_of(contracts.replaced("other", "m", "y", HostTensor::make(DType::kI8, {1})));
  EXPECT_EQ(r.argument, "y");
  EXPECT_EQ(r.call.tensor("y").dtype, DType::kI8);
  EXPECT_TRUE(r.call.arg("y").footprint.empty());
  EXPECT_EQ(r.call.tensor("x").shape, whole.shape);

  r = refusal_of(contracts.reshaped("rows", "m", "y", [](Shape& s) { --s[0]; }));
  EXPECT_EQ(r.call.tensor("y").shape, (Shape{11, 2}));
  EXPECT_EQ(r.call.tensor("y").dtype, whole.dtype);

  r = refusal_of(contracts.strided("y"));
  EXPECT_EQ(r.call.tensor("y").shape, whole.shape);
  EXPECT_EQ(r.call.tensor("y").strides, (Shape{4, 2}));

  r = refusal_of(contracts.integer("many", "m", "plus", 9));
  EXPECT_EQ(r.argument, "plus");
  EXPECT_EQ(std::get<std::int64_t>(r.call.arg("plus").value), 9);
  EXPECT_FALSE(r.call.arg("y").footprint.empty());

  r = refusal_of(contracts.misplaced("x", Place::kHost));
  EXPECT_EQ(r.argument, "x");
  EXPECT_EQ(r.call.arg("x").place, Place::kHost);
  EXPECT_EQ(r.call.arg("y").place, Place::kDevice);

  contracts.wrong_form("x", DType::kI64);
  EXPECT_EQ(refusal_of(list[list.size() - 2]).call.tensor("x").dtype, DType::kI64);
  EXPECT_EQ(refusal_of(list.back()).call.tensor("x").shape, (Shape{12, 2, 1}));
}

TEST(Contracts, EachChangeIsTriedAlone) {
  std::vector<Scenario> list;
  Contracts(list).refused_each("sizes", "m", "y", "size|element",
                               {[](Call& call) { call.arg("y").value = HostTensor::make(DType::kI32, {1}); },
                                [](Call& call) { call.arg("x").value = HostTensor::make(DType::kI32, {2}); }});
  const PlusOp op;
  const Case c{"plus", list[0].label(), op.points(Tier::kSmoke).front(), 1};
  FunctionCaller caller([](Call&) {});
  Recorder recorder(op, c, caller);
  list[0].run(recorder);
  ASSERT_EQ(recorder.refusals.size(), 2u);
  EXPECT_EQ(recorder.refusals[0].call.tensor("y").shape, (Shape{1}));
  EXPECT_EQ(recorder.refusals[0].call.tensor("x").shape, (Shape{12, 2}));
  EXPECT_EQ(recorder.refusals[1].call.tensor("y").shape, (Shape{12, 2}));
  EXPECT_EQ(recorder.refusals[1].why, "size|element");
}

TEST(Contracts, ExtremeCallsNeedNotBeRefused) {
  std::vector<Scenario> list;
  Contracts(list).edge("none", "m", [](Call& call) { call.arg("plus").value = std::int64_t{0}; });
  const PlusOp op;
  const Case c{"plus", list[0].label(), op.points(Tier::kSmoke).front(), 1};
  FunctionCaller caller([](Call&) {});
  Recorder recorder(op, c, caller);
  list[0].run(recorder);
  EXPECT_TRUE(recorder.refusals.empty());
  ASSERT_EQ(recorder.edges.size(), 1u);
  EXPECT_EQ(std::get<std::int64_t>(recorder.edges[0].arg("plus").value), 0);
}

}  // namespace
}  // namespace dsv4::testing
