#include "tests/faulty/test_ops.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/run/trial.h"
#include "harness/sets/set.h"
#include "tests/build_folder.h"
#include "tests/faulty/faults.h"

namespace dsv4::testing {
namespace {

ParamSpec fault_spec() {
  return ParamSpec::choice("fault", std::vector<std::string>(kFaultNames.begin(), kFaultNames.end()),
                           "what the module does wrong");
}

Arg fault_argument(const Params& p) {
  const auto at = std::ranges::find(kFaultNames, p.text("fault"));
  return scalar("fault", static_cast<std::int64_t>(at - kFaultNames.begin()));
}

class TestCopy final : public Op {
 public:
  TestCopy()
      : Op({.name = "test_copy",
            .family = "test",
            .summary = "output = input",
            .upstream = "none",
            .abis = {"test_copy/1"},
            .space = {ParamSpec::integer("rows", 0, 4096, "rows"), ParamSpec::integer("columns", 1, 4096, "columns"),
                      ParamSpec::integer("gap", 0, 64, "unused columns between rows"),
                      ParamSpec::choice("fill", {"values", "zeros"}, "what is copied"),
                      ParamSpec::choice("judge", {"exact", "bound", "interval"}, "the tolerance"), fault_spec()},
            .host_note = "everything is shown on a CPU"}) {}
  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    std::vector<Params> all;
    for (const std::int64_t rows :
         tier == Tier::kSmoke ? std::vector<std::int64_t>{3} : std::vector<std::int64_t>{3, 17}) {
      all.push_back(Params()
                        .set("rows", rows)
                        .set("columns", 5)
                        .set("gap", 2)
                        .set("fill", "values")
                        .set("judge", "exact")
                        .set("fault", "none"));
    }
    return all;
  }
  [[nodiscard]] Call make(const Case& c) const override {
    const std::int64_t rows = c.params.integer("rows"), columns = c.params.integer("columns");
    const std::int64_t stride = columns + c.params.integer("gap");
    HostTensor input = HostTensor::strided(DType::kF32, {rows, columns}, {stride, 1}, 0, rows * stride);
    HostTensor output = input;
    poison(input);
    if (c.params.is("fill", "zeros")) {
      fill_floats(input, [] { return 0.0f; });
    } else {
      Random random(c.seed, "input");
      fill_floats(input, [&] { return random.wide(-3, 3); });
      if (rows > 0) set_float(input, 0, 0.0);
    }
    return {"test_copy", "", {}, {in("input", input), out("output", output), fault_argument(c.params)}};
  }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    return Observation().add("output", result.tensor("output").packed());
  }
  [[nodiscard]] Tolerances tolerances(const Case& c, const Call& call, const CallResult&, const Observation&,
                                      Caller&) const override {
    const HostTensor truth = call.tensor("input").packed();
    if (c.params.is("judge", "bound")) {
      HostTensor bound = HostTensor::make(DType::kF64, truth.shape);
      for (std::int64_t i = 0; i < truth.numel(); ++i) {
        set_float(bound, i, 0x1p-22 * std::abs(value_of(DType::kF32, truth.element(i))));
      }
      return {{"output", Tolerance::within(bound, "two units of the last place")}};
    }
    if (c.params.is("judge", "interval")) return {{"output", Tolerance::between(truth, truth, "no alternative")}};
    return {};
  }
  [[nodiscard]] Facts facts(const Case& c, const Call&) const override { return {{"rows", c.params.integer("rows")}}; }
  /// `row`: the number of the row.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    HostTensor row = HostTensor::make(DType::kI64, {call.tensor("output").size(0)});
    for (std::int64_t i = 0; i < row.numel(); ++i) row.at<std::int64_t>(i) = i;
    return {{"row", row}};
  }
  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list;
    Contracts contracts(list);
    contracts.refused("output_dtype", "a 64-bit output is refused", "output", [](Call& call) {
      HostTensor& t = call.arg("output").tensor();
      t = HostTensor::make(DType::kF64, t.shape);
    });
    contracts.edge("no_rows", "no rows: nothing to do", [](Call& call) {
      call.arg("input").tensor() = HostTensor::make(DType::kF32, {0, 5});
      call.arg("output").tensor() = HostTensor::make(DType::kF32, {0, 5});
    });
    contracts.misplaced("host_output", "an output in host memory is refused", "output", Place::kHost);
    for (const std::string argument : {"input", "output"}) {
      list.push_back(
          far_relation(argument, "rows of '" + argument + "' 2^31 elements apart", kFirstSmokePoint,
                       [argument](Call& call) { call.arg(argument).far_layout = far_apart(call.tensor(argument)); }));
    }
    return list;
  }
};

class TestStore final : public Op {
 public:
  TestStore()
      : Op({.name = "test_store",
            .family = "test",
            .summary = "writes six bytes into each named slot of eight bytes",
            .upstream = "none",
            .abis = {"test_store/1"},
            .space = {ParamSpec::integer("slots", 2, 4096, "slots of the cache"), fault_spec()},
            .host_note = "everything is shown on a CPU"}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override {
    return {Params().set("slots", 9).set("fault", "none")};
  }
  /// The indices name every slot except the last one, in random order.
  [[nodiscard]] Call make(const Case& c) const override {
    const std::int64_t slots = c.params.integer("slots");
    Random random(c.seed, "store");
    std::vector<std::int32_t> indices;
    for (const std::int64_t i : random.permutation(slots - 1)) indices.push_back(static_cast<std::int32_t>(i));
    HostTensor values = HostTensor::make(DType::kU8, {slots - 1, 6});
    for (auto& byte : values.storage) byte = static_cast<std::uint8_t>(random.below(128));
    HostTensor cache = HostTensor::make(DType::kU8, {slots, 8});
    for (auto& byte : cache.storage) byte = static_cast<std::uint8_t>(128 + random.below(128));
    std::vector<std::uint8_t> footprint(cache.storage.size(), 0);
    for (const std::int32_t slot : indices) std::fill_n(footprint.begin() + slot * 8, 6, 1);
    return {"test_store",
            "",
            {},
            {in("values", values), inout("cache", cache, footprint),
             in("indices", HostTensor::of(DType::kI32, indices)), fault_argument(c.params)}};
  }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    return Observation().add("cache", result.tensor("cache"));
  }
};

class TestPlan final : public Op {
 public:
  TestPlan()
      : Op({.name = "test_plan",
            .family = "test",
            .summary = "index and length of each sequence with a positive length",
            .upstream = "none",
            .abis = {"test_plan/1"},
            .space = {ParamSpec::integer("batch", 1, 4096, "sequences"), fault_spec()},
            .host_note = "everything is shown on a CPU"}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override {
    return {Params().set("batch", 7).set("fault", "none")};
  }
  [[nodiscard]] Call make(const Case& c) const override {
    Random random(c.seed, "lens");
    std::vector<std::int32_t> lens;
    for (std::int64_t i = 0; i < c.params.integer("batch"); ++i) {
      lens.push_back(static_cast<std::int32_t>(i % 3 == 1 ? 0 : random.between(1, 99)));
    }
    return {"test_plan", "", {}, {in("lens", HostTensor::of(DType::kI32, lens)), fault_argument(c.params)}};
  }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    const std::vector<std::int64_t> count{std::get<std::int64_t>(result.returned.at(1))};
    return Observation()
        .add("plan", std::get<HostTensor>(result.returned.at(0)))
        .add("count", HostTensor::of(DType::kI64, count));
  }
  /// The scenario reads a result itself: the last of the rows that the returned count promises.
  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const auto run = [](ScenarioContext& x) {
      const CallResult result = x.call("plan", x.op.make(x.c));
      const auto rows = std::get<std::int64_t>(result.returned.at(1));
      const auto& plan = std::get<HostTensor>(result.returned.at(0));
      x.compared(1);
      if (plan.at<std::int32_t>(rows - 1, 1) <= 0) x.fail("length", "the last row has no length");
    };
    return {relation("last_row", "the last row has a length", kFirstSmokePoint, run)};
  }
};

/// test_copy with a definition that throws. The parameter `throws` names the part that throws.
class TestBroken final : public Op {
 public:
  TestBroken()
      : Op({.name = "test_broken",
            .family = "test",
            .summary = "test_copy with a broken definition",
            .upstream = "none",
            .space = {ParamSpec::choice("throws",
                                        {"nowhere", "make", "observe", "tolerances", "facts", "trivial_by_design",
                                         "scenario", "scenario_late"},
                                        "the part of the definition that throws"),
                      fault_spec()},
            .host_note = "everything is shown on a CPU"}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override {
    return {Params().set("throws", "nowhere").set("fault", "none")};
  }
  [[nodiscard]] Call make(const Case& c) const override {
    throw_if(c, "make");
    return copy_.make(copied(c));
  }
  [[nodiscard]] Observation observe(const Case& c, const Call& call, const CallResult& result) const override {
    throw_if(c, "observe");
    return copy_.observe(copied(c), call, result);
  }
  [[nodiscard]] Tolerances tolerances(const Case& c, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    throw_if(c, "tolerances");
    return {};
  }
  [[nodiscard]] Facts facts(const Case& c, const Call&) const override {
    throw_if(c, "facts");
    return {{"rows", 3}};
  }
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    throw_if(c, "trivial_by_design");
    return false;
  }
  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const auto run = [](ScenarioContext& x) {
      throw_if(x.c, "scenario");
      const Call call = x.op.make(x.c);
      const Observation got = x.observed("first", call);
      // This throws after a call, when the scenario has read the result of the kernel.
      if (x.c.params.is("throws", "scenario_late")) (void)std::get<double>(call.arg("input").value);
      x.expect_agree("first", got, x.expected(call));
    };
    return {relation("broken", "its own code throws", kFirstSmokePoint, run)};
  }

 private:
  static void throw_if(const Case& c, const char* where) {
    if (c.params.is("throws", where)) throw std::logic_error(std::string("broken ") + where);
  }
  static Case copied(const Case& c) {
    return {"test_copy", "",
            Params()
                .set("rows", 3)
                .set("columns", 5)
                .set("gap", 2)
                .set("fill", "values")
                .set("judge", "exact")
                .set("fault", c.params.text("fault")),
            c.seed};
  }

  TestCopy copy_;
};

const bool registered = (register_test_ops(), true);

Manifest manifest_of(const std::string& set) { return Manifest::load(build_folder() + "/sets-test/" + set); }

}  // namespace

void register_test_ops() {
  if (find_op("test_copy") != nullptr) return;
  register_op(std::make_unique<TestCopy>());
  register_op(std::make_unique<TestStore>());
  register_op(std::make_unique<TestPlan>());
  register_op(std::make_unique<TestBroken>());
}

std::unique_ptr<Caller> open_faulty() { return open_set(manifest_of("faulty")); }

std::unique_ptr<Caller> open_right() {
  Manifest m = manifest_of("right");
  m.name = "reference";  // only a set of that name is a reference
  return open_set(m);
}

std::string test_case_id(const std::string& op, const std::string& fault, const std::string& scenario,
                         const Params& changes) {
  const Op* definition = find_op("test_" + op);
  Case c{"test_" + op, scenario, definition->points(Tier::kSmoke).front(), 1};
  for (const auto& [name, value] : changes.pairs()) c.params.set(name, value);
  c.params.set("fault", fault);
  return checked_case(c.id()).id();
}

CaseResult try_faulty(const std::string& id) {
  const auto faulty = open_faulty();
  const auto right = open_right();
  return try_case(checked_case(id), {*faulty, *right, *right});
}

CaseResult try_with_faulty_reference(const std::string& id) {
  Manifest m = manifest_of("faulty");
  m.name = "reference";
  m.device = DeviceKind::kCpu;
  const auto reference = open_set(m);
  const auto right = open_right();
  return try_case(checked_case(id), {*right, *reference, *reference});
}

}  // namespace dsv4::testing
