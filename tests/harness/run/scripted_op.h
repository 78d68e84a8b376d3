/// The op of tests/harness/golden/support.h, with functions that a test may replace.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "harness/op/op.h"
#include "tests/harness/golden/support.h"

namespace dsv4::testing {

class ScriptedOp final : public Op {
 public:
  std::function<Call(const Case&)> on_make;
  std::function<Observation(const Case&, const Call&, const CallResult&)> on_observe;
  std::function<Tolerances(const Observation& got)> on_tolerances;
  std::function<Facts()> on_facts;
  std::function<ElementFacts(const Call&)> on_element_facts;
  std::function<std::optional<Alternative>(const std::string& name, const Call&, Caller& reference)> on_variant;

  ScriptedOp() : ScriptedOp(golden_test::probe_op()) {}
  explicit ScriptedOp(const Op& probe) : Op(probe.info()), probe_(probe) {}

  [[nodiscard]] std::vector<Params> points(Tier tier) const override { return probe_.points(tier); }
  [[nodiscard]] Call make(const Case& c) const override { return on_make ? on_make(c) : probe_.make(c); }
  [[nodiscard]] Observation observe(const Case& c, const Call& call, const CallResult& result) const override {
    return on_observe ? on_observe(c, call, result) : probe_.observe(c, call, result);
  }
  [[nodiscard]] Tolerances tolerances(const Case& c, const Call& call, const CallResult& result, const Observation& got,
                                      Caller& reference) const override {
    return on_tolerances ? on_tolerances(got) : probe_.tolerances(c, call, result, got, reference);
  }
  [[nodiscard]] Facts facts(const Case&, const Call&) const override { return on_facts ? on_facts() : Facts{}; }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return on_element_facts ? on_element_facts(call) : ElementFacts{};
  }
  [[nodiscard]] std::optional<Alternative> variant(const std::string& name, const Case&, const Call& call,
                                                   Caller& reference) const override {
    return on_variant ? on_variant(name, call, reference) : std::nullopt;
  }

  /// A case of this op. Its output has eight elements, which are compared exactly.
  [[nodiscard]] CheckedCase own_case() const {
    CheckedCase c = golden_test::probe(8, "exact");
    c.definition = this;
    return c;
  }
  /// A case of this op with a scenario. The scenario calls `run`.
  [[nodiscard]] CheckedCase scenario_case(std::function<void(ScenarioContext&)> run) const {
    CheckedCase c = own_case();
    c.scenario = "relation:scripted";
    c.scenario_definition = Scenario{Scenario::Kind::kRelation, "scripted", "", {}, std::move(run)};
    return c;
  }

 private:
  const Op& probe_;
};

}  // namespace dsv4::testing
