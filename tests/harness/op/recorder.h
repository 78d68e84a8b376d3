/// Helpers for the tests of scenarios: a small op, and a context that records the checks of a scenario.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/op/op.h"

namespace dsv4::testing {

/// The op y = x + plus. Its rows have two elements.
class PlusOp : public Op {
 public:
  PlusOp()
      : Op({.name = "plus",
            .family = "test",
            .summary = "y = x + plus",
            .upstream = "none",
            .abis = {"plus/1"},
            .space = {},
            .host_note = ""}) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override {
    return {Params().set("rows", 12).set("plus", 3), Params().set("rows", 5).set("plus", 1)};
  }
  [[nodiscard]] Call make(const Case& c) const override {
    HostTensor x = HostTensor::make(DType::kI32, {c.params.integer("rows"), 2});
    for (std::int64_t i = 0; i < x.numel(); ++i) x.data<std::int32_t>()[i] = static_cast<std::int32_t>(i);
    return {"plus",
            "",
            {},
            {in("x", x), out("y", x, std::vector<std::uint8_t>(x.storage.size(), 1)),
             scalar("plus", c.params.integer("plus"))}};
  }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    return Observation().add("y", result.tensor("y"));
  }
};

/// A kernel set that calls `function`. It appends the options of each call to `options`, unless `options` is null.
class FunctionCaller final : public Caller {
 public:
  explicit FunctionCaller(std::function<void(Call&)> function, std::vector<CallOptions>* options = nullptr)
      : function_(std::move(function)), options_(options) {}
  CallResult call(const Call& call, const CallOptions& options) override {
    if (options_ != nullptr) options_->push_back(options);
    Call done = call;
    function_(done);
    return {.args = done.args, .returned = {}, .findings = {}, .refusal = {}, .late = {}};
  }
  [[nodiscard]] const std::string& name() const override {
    static const std::string kName = "function";
    return kName;
  }
  [[nodiscard]] bool is_reference() const override { return false; }
  [[nodiscard]] bool errors_name_arguments() const override { return true; }

 private:
  std::function<void(Call&)> function_;
  std::vector<CallOptions>* options_;
};

/// Records the checks of a scenario: refusals, extreme calls, and pairs of observations that must agree.
class Recorder final : public ScenarioContext {
 public:
  struct Refusal {
    Call call;
    std::string argument;
    std::string why;
  };
  std::vector<Refusal> refusals;
  std::vector<Call> edges;
  std::vector<std::pair<Observation, Observation>> pairs;  ///< first the result, then the wanted one

  Recorder(const Op& o, const Case& k, Caller& s) : Recorder(o, k, s, s) {}
  Recorder(const Op& o, const Case& k, Caller& s, Caller& r) : ScenarioContext(o, k, s, r) {}

  void expect_agree(const std::string&, const Observation& got, const Observation& want, const Tolerances&) override {
    pairs.emplace_back(got, want);
  }
  void expect_refused(const std::string&, const Call& call, const std::string& argument,
                      const std::string& why) override {
    refusals.push_back({call, argument, why});
  }
  void expect_clean(const std::string&, const Call& call) override { edges.push_back(call); }
  void fail(const std::string&, const std::string&) override {}
  void compared(std::int64_t) override {}
  CallResult call(const std::string&, const Call& call, const CallOptions& options) override {
    return subject.call(call, options);
  }
};

}  // namespace dsv4::testing
