#include <algorithm>
#include <limits>

#include "harness/core/error.h"
#include "harness/op/define.h"
#include "harness/ops/compress/online_outside.h"
#include "harness/ops/compress/online_v1_op.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

/// The call of a case, and changes of it. Each change belongs to one request.
class OnlineV1Outside {
 public:
  OnlineV1Outside(ScenarioContext& x, const OnlineV1Op& op)
      : x_(x), op_(op), good_(op.make(x.c)), usual_(observed_once(x, good_)) {}

  [[nodiscard]] const Call& good() const { return good_; }

  /// Tries a number in an argument i32 [requests], in the row of a request for which it makes a difference. Successive
  /// calls take different requests.
  void try_number(const std::string& argument, std::int64_t value) {
    const std::int64_t requests = good_.tensor(argument).numel();
    for (std::int64_t i = 0; i < requests; ++i) {
      const std::int64_t request = (turn_ + i) % requests;
      Call bad = good_;
      set_integer(bad.arg(argument).tensor(), request, value);
      if (op_.written_by(bad) == op_.written_by(good_)) continue;
      turn_ = request + 1;
      return try_call(fmt::format("'{}' element {} is {}", argument, request, value), request, std::move(bad));
    }
    throw Error(fmt::format("contract: no request uses '{}'", argument));
  }

  /// Tries a change of a record of a plan that is not a sentinel. `applies` says which records can be changed.
  /// Successive calls take different records.
  void try_record(
      const std::string& plan, const std::string& what, const std::function<void(TokenPlan&)>& change,
      const std::function<bool(const TokenPlan&)>& applies = [](const TokenPlan&) { return true; }) {
    auto records = records_of<TokenPlan>(good_.tensor(plan));
    const auto start = static_cast<std::size_t>(turn_++);
    for (std::size_t k = 0; k < records.size(); ++k) {
      const std::size_t i = (start + k) % records.size();
      TokenPlan& record = records[i];
      if (is_sentinel(record) || !applies(record)) continue;
      const std::int64_t request = record.batch_id;
      change(record);
      Call bad = good_;
      bad.arg(plan).tensor() = plan_tensor(records);
      return try_call(fmt::format("{} record {} with {}", plan, i, what), request, std::move(bad));
    }
    throw Error(fmt::format("contract: no record of '{}' can be tried with {}", plan, what));
  }

 private:
  /// The rows of the request may change. Those of the others must not.
  void try_call(const std::string& what, std::int64_t request, Call bad) {
    const OnlineV1Written written = op_.written_by(good_);
    OfflineOwnRows own;
    for (const OnlineV1Row& r : written.entries) {
      if (r.request == request) own.entries.insert(r.row);
    }
    for (const OnlineV1Row& r : written.kept) {
      if (r.request == request) own.kept.insert(r.row);
    }
    try_online_outside(x_, op_, what, std::move(bad), good_, usual_, own);
  }

  ScenarioContext& x_;
  const OnlineV1Op& op_;
  Call good_;
  std::function<const Observation&()> usual_;
  std::int64_t turn_ = 0;
};

void try_slots(ScenarioContext& x, const OnlineV1Op& op, const std::string& argument) {
  OnlineV1Outside outside(x, op);
  for (const std::int32_t slot : numbers_outside(outside.good().tensor("kv_buffer").size(0)))
    outside.try_number(argument, slot);
}

void try_online_lengths(ScenarioContext& x, const OnlineV1Op& op) {
  OnlineV1Outside outside(x, op);
  for (const std::int32_t length : {0, -1, -127, -128, std::numeric_limits<std::int32_t>::min()})
    outside.try_number("seq_lens", length);
}

void try_online_plan(ScenarioContext& x, const OnlineV1Op& op, const std::string& plan) {
  OnlineV1Outside outside(x, op);
  const auto of_size = [&](const char* argument) {
    return static_cast<std::uint32_t>(outside.good().tensor(argument).size(0));
  };
  const auto try_field = [&](const char* name, std::uint32_t TokenPlan::*field, std::vector<std::uint32_t> values) {
    for (const std::uint32_t value : values) {
      outside.try_record(plan, fmt::format("{} {}", name, value), [&](TokenPlan& r) { r.*field = value; });
    }
  };
  constexpr std::uint32_t kHigh = 1u << 31;
  try_field("token", &TokenPlan::ragged_id, {of_size("kv_input"), kHigh >> 1, kHigh, 0xfffffffe});
  try_field("request", &TokenPlan::batch_id, {of_size("indices"), kHigh >> 1, kHigh, 0xfffffffe});
  try_field("window_len", &TokenPlan::window_len, {0, 129, kHigh, 0xffffffff});
  const auto has_two = [](const TokenPlan& r) { return r.window_len > 1; };
  outside.try_record(
      plan, "tokens before the first one", [](TokenPlan& r) { r.ragged_id = 0; }, has_two);
  outside.try_record(
      plan, "tokens before the group", [](TokenPlan& r) { r.position = 128; }, has_two);
}

}  // namespace

std::vector<Scenario> online_v1_outside(const OnlineV1Op& op) {
  std::vector<Scenario> list;
  const auto add = [&](const std::string& argument, std::function<void(ScenarioContext&)> run) {
    // The first smoke point has the slots of pages, and the second one has a slot for each request, without extra.
    std::vector<std::string> points{op.info().smoke[0]};
    if (argument != "extra") points.push_back(op.info().smoke[1]);
    list.push_back(
        {Scenario::Kind::kContract, argument + "_outside",
         fmt::format("a number in '{}' outside its range changes the rows of its own request only", argument),
         op.at(points), std::move(run)});
  };
  for (const Argument& a : op.info().signature.arguments()) {
    const std::string& name = a.name;
    if (name == "indices") add(name, [&op, name](ScenarioContext& x) { try_slots(x, op, name); });
    if (name == "seq_lens") add(name, [&op](ScenarioContext& x) { try_online_lengths(x, op); });
    if (!name.ends_with("_plan")) continue;
    add(name, [&op, name](ScenarioContext& x) { try_online_plan(x, op, name); });
    if (name == "write_plan") add("extra", [&op](ScenarioContext& x) { try_slots(x, op, "extra"); });
  }
  return list;
}

}  // namespace dsv4
