#include "harness/op/derived.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/core/error.h"
#include "harness/generate/random.h"
#include "harness/run/scenario_context.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using enum DType;

/// An op that copies the rows of x that `slots` names. x may have gaps between its rows, and `count` is in host memory.
class Gather : public Op {
 public:
  using Without = std::map<std::string, std::string>;
  explicit Gather(Without without = {}, std::vector<std::string> smoke = {"", "index=i64"},
                  std::vector<std::string> quick = {"rows=1", "rows=4 index=i64", "rows=7", "rows=7 index=i64"})
      : Op({.name = "gather",
            .family = "test",
            .summary = "y = x by slots",
            .upstream = "none",
            .space = {number("rows", 1, 100, "rows", {.usual = 4}), word("index", {"i32", "i64"}, "type of the slots")},
            .signature = {{in("x", {kF32}, "rows 3:columns", {.gaps = true, .far = "rows=2"}),
                           in("slots", {kI32, kI64}, "rows", {.called = "s", .dtype_of = "index"}),
                           in("count", {kI32}, "1:size", {.place = Place::kHost}), out("y", {kF32}, "rows 3:columns")},
                          "rows"},
            .smoke = std::move(smoke),
            .quick = std::move(quick),
            .without = std::move(without)}) {}
  [[nodiscard]] Call make(const Case& c) const override {
    Call call = allocate(c);
    for (std::int64_t i = 0; i < c.params.integer("rows"); ++i) set_integer(call.arg("slots").tensor(), i, i);
    return call;
  }
  void fit(Call& call) const override { set_integer(call.arg("count").tensor(), 0, call.tensor("slots").size(0)); }
};

std::vector<std::string> labels_of(const std::vector<Scenario>& list) {
  std::vector<std::string> labels;
  for (const Scenario& s : list) labels.push_back(s.label());
  return labels;
}

/// Runs a derived scenario at the op's first smoke point. Returns the record of what the scenario asked for.
Recorder asked(const Op& op, const std::string& label) {
  static FunctionCaller caller([](Call&) {});
  const auto list = all_scenarios(op);
  const Scenario* scenario = find_scenario(list, label);
  static std::vector<std::unique_ptr<Case>> cases;
  cases.push_back(std::make_unique<Case>(Case{"gather", label, op.points(Tier::kSmoke).front(), 1}));
  Recorder recorder(op, *cases.back(), caller);
  EXPECT_NE(scenario, nullptr) << label;
  if (scenario != nullptr) scenario->run(recorder);
  return recorder;
}

TEST(Derived, EveryArgumentHasItsContracts) {
  const Gather op;
  const auto labels = labels_of(all_scenarios(op));
  for (const char* label : {"contract:x_dtype",
                            "contract:x_rank",
                            "contract:x_rows",
                            "contract:x_columns",
                            "contract:x_columns_strided",
                            "contract:x_on_host",
                            "contract:s_dtype",
                            "contract:s_rank",
                            "contract:s_rows",
                            "contract:s_strided",
                            "contract:s_on_host",
                            "contract:s_outside",
                            "contract:count_dtype",
                            "contract:count_size",
                            "contract:count_on_device",
                            "contract:y_columns",
                            "contract:no_rows",
                            "relation:any_batch",
                            "relation:index_types",
                            "relation:far_x",
                            "relation:late_x",
                            "relation:late_slots",
                            "relation:late_y",
                            "relation:writes_before_next",
                            "relation:repeat",
                            "relation:page_end",
                            "relation:page_start"}) {
    EXPECT_THAT(labels, Contains(label));
  }
  EXPECT_THAT(labels, Not(Contains("contract:count_strided")));  // for one element, every stride is right
  EXPECT_THAT(labels, Not(Contains("relation:late_count")));     // an argument in host memory is never late
}

TEST(Derived, ContractsChangeTheCallOfThePointAndGiveTheReason) {
  const Gather op;
  const auto dtype = asked(op, "contract:s_dtype");
  ASSERT_EQ(dtype.refusals.size(), 2u);  // an integer and a floating-point type that the op does not accept
  EXPECT_EQ(dtype.refusals[0].call.tensor("slots").dtype, kI16);
  EXPECT_EQ(dtype.refusals[1].call.tensor("slots").dtype, kBF16);
  EXPECT_EQ(dtype.refusals[0].argument, "slots");
  EXPECT_EQ(dtype.refusals[0].why, "dtype");

  const auto rank = asked(op, "contract:x_rank");
  ASSERT_EQ(rank.refusals.size(), 2u);
  EXPECT_EQ(rank.refusals[0].call.tensor("x").shape, (Shape{4, 3, 1}));
  EXPECT_EQ(rank.refusals[1].call.tensor("x").shape, (Shape{12}));

  const auto size = asked(op, "contract:x_columns");
  ASSERT_EQ(size.refusals.size(), 2u);
  EXPECT_EQ(size.refusals[0].call.tensor("x").shape, (Shape{4, 4}));
  EXPECT_EQ(size.refusals[1].call.tensor("x").shape, (Shape{4, 2}));

  const auto memory = asked(op, "contract:count_on_device");
  ASSERT_EQ(memory.refusals.size(), 1u);
  EXPECT_EQ(memory.refusals[0].call.arg("count").place, Place::kDevice);
}

TEST(Derived, ThePagesAreTriedOnPointsInWhichEachValueOccurs) {
  const Gather op;
  const auto scenarios = all_scenarios(op);
  const Points points = find_scenario(scenarios, "relation:page_end")->points;
  EXPECT_EQ(points(Tier::kSmoke), op.points(Tier::kSmoke));
  EXPECT_THAT(points(Tier::kFull), ::testing::IsEmpty());
  std::set<std::pair<std::string, std::string>> wanted, tried;
  for (const Params& p : op.points(Tier::kQuick)) wanted.insert(p.pairs().begin(), p.pairs().end());
  for (const Params& p : points(Tier::kQuick)) tried.insert(p.pairs().begin(), p.pairs().end());
  EXPECT_THAT(tried, ::testing::IsSupersetOf(wanted));
  EXPECT_LT(points(Tier::kQuick).size(), op.points(Tier::kSmoke).size() + op.points(Tier::kQuick).size());
}

TEST(Derived, TheSetAndTheReferenceAreBothCalledAtTheEdge) {
  const Gather op;
  std::vector<CallOptions> options;
  FunctionCaller caller([](Call&) {}, &options);
  const auto scenarios = all_scenarios(op);
  const Case c{"gather", "relation:page_start", op.points(Tier::kSmoke).front(), 1};
  Recorder recorder(op, c, caller);
  find_scenario(scenarios, c.scenario)->run(recorder);
  std::vector<Edge> edges;
  for (const CallOptions& o : options) edges.push_back(o.edge);
  EXPECT_THAT(edges, ::testing::UnorderedElementsAre(Edge::kNone, Edge::kStart, Edge::kStart, Edge::kNone));
  EXPECT_EQ(recorder.pairs.size(), 2u);
}

/// The verdict of the contract about gaps in `argument`, on a kernel that refuses gaps or copies x to y, element by
/// element. A kernel that is `blind` to gaps uses the strides of a tensor without gaps.
std::string with_gaps(const std::string& argument, bool refuses, bool blind) {
  class Kernel final : public Caller {
   public:
    Kernel(bool refuses, bool blind) : refuses_(refuses), blind_(blind) {}
    CallResult call(const Call& call, const CallOptions&) override {
      Call done = call;
      const HostTensor& x = call.tensor("x");
      HostTensor& y = done.arg("y").tensor();
      CallResult result;
      if (refuses_ && (!x.contiguous() || !y.contiguous())) {
        result.args = call.args;
        result.refusal = "a stride of 'x', 'y'";
        return result;
      }
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        std::uint8_t* to = blind_ ? y.storage.data() + 4 * i : y.element(i);
        std::memcpy(to, blind_ ? x.storage.data() + 4 * i : x.element(i), 4);
      }
      result.args = done.args;
      return result;
    }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] bool is_reference() const override { return false; }
    [[nodiscard]] bool errors_name_arguments() const override { return true; }

   private:
    std::string name_ = "kernel";
    bool refuses_, blind_;
  } kernel(refuses, blind);
  class Filled final : public Gather {
    [[nodiscard]] Call make(const Case& c) const override {
      Call call = Gather::make(c);
      fill_floats(call.arg("x").tensor(), [n = 0]() mutable { return static_cast<float>(++n); });
      return call;
    }
  };
  const Filled op;
  const auto list = all_scenarios(op);
  const Scenario* scenario = find_scenario(list, argument);
  const Case c{"gather", argument, op.points(Tier::kSmoke).front(), 1};
  CaseResult result;
  TrialContext context(op, c, kernel, kernel, result);
  scenario->run(context);
  for (const OutputReport& output : result.outputs) {
    if (output.violations != 0) return "differs";
  }
  return result.findings.empty() ? "passes" : result.findings.front().check;
}

TEST(Derived, GapsAreRefusedOrReadAndWrittenRight) {
  for (const char* contract : {"contract:x_columns_strided", "contract:y_strided"}) {
    EXPECT_EQ(with_gaps(contract, true, false), "passes") << contract;
    EXPECT_EQ(with_gaps(contract, false, false), "passes") << contract;
    EXPECT_EQ(with_gaps(contract, false, true), "differs") << contract;
  }
}

TEST(Derived, TheSizesOfTheEmptyBatchFitTogether) {
  const Gather op;
  const auto empty = asked(op, "contract:no_rows");
  ASSERT_EQ(empty.edges.size(), 1u);
  for (const char* name : {"x", "y"}) EXPECT_EQ(empty.edges[0].tensor(name).shape, (Shape{0, 3}));
  EXPECT_EQ(empty.edges[0].tensor("slots").shape, (Shape{0}));
  EXPECT_EQ(empty.edges[0].tensor("count").at<std::int32_t>(0), 0);
}

TEST(Derived, ChecksAreLeftOutByNameAndWithAReason) {
  const Gather op(
      Gather::Without{{"relation:any_batch", "rows look at each other"}, {"relation:late_x", "x is constant"}});
  const auto labels = labels_of(all_scenarios(op));
  EXPECT_THAT(labels, Not(Contains("relation:any_batch")));
  EXPECT_THAT(labels, Not(Contains("relation:late_x")));
  EXPECT_THAT(labels, Contains("contract:no_rows"));
}

TEST(Derived, DeclarationsAreChecked) {
  const auto error_of = [](const Op& op) -> std::string {
    try {
      check_declaration(op);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of(Gather()), "no error");
  EXPECT_THAT(error_of(Gather(Gather::Without{{"relation:any_bach", "a typing error"}})),
              HasSubstr("'without' names 'relation:any_bach'"));
  EXPECT_THAT(error_of(Gather(Gather::Without{{"relation:any_batch", ""}})), HasSubstr("gives no reason"));
  EXPECT_THAT(error_of(Gather({}, {"row=4"})), HasSubstr("there is no parameter 'row', did you mean 'rows'?"));
  EXPECT_THAT(error_of(Gather({}, {"rows=101"})), HasSubstr("rows=101 is out of range"));
}

}  // namespace
}  // namespace dsv4::testing
