#include <algorithm>
#include <limits>
#include <set>

#include "harness/core/error.h"
#include "harness/op/define.h"
#include "harness/ops/compress/offline_outside.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/v1_op.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

/// The call of a case, and changes of it. Each change belongs to one request.
class V1Outside {
 public:
  V1Outside(ScenarioContext& x, const V1Op& op)
      : x_(x), op_(op), good_(op.make(x.c)), usual_(observed_once(x, good_)) {}

  [[nodiscard]] const Call& good() const { return good_; }

  void try_change(const std::string& what, std::int64_t request, const Change& change) {
    const V1Written written = op_.written_by(good_);
    OfflineOwnRows own;
    for (const V1Row& r : written.entries) {
      if (r.request == request) own.entries.insert(r.row);
    }
    for (const V1Row& r : written.kept) {
      if (r.request == request) own.kept.insert(r.row);
    }
    Call bad = good_;
    change(bad);
    op_.fit(bad);
    allow_own_rows(bad, own);
    try_outside(x_, what, bad, good_, usual_, offline_rows_part(op_, good_, own, false),
                offline_rows_part(op_, good_, own, true));
  }

  /// Tries a number in column `column` of an argument i32 [requests] or [requests, columns], in the row of a request
  /// for which it makes a difference. Successive calls take different requests.
  void try_number(const std::string& argument, std::int64_t column, std::int64_t value) {
    const HostTensor& t = good_.tensor(argument);
    const std::int64_t requests = t.size(0), columns = t.numel() / requests;
    for (std::int64_t i = 0; i < requests; ++i) {
      const std::int64_t request = (turn_ + i) % requests;
      const Change change = [&](Call& call) {
        set_integer(call.arg(argument).tensor(), request * columns + column, value);
      };
      Call bad = good_;
      change(bad);
      if (op_.written_by(bad) == op_.written_by(good_)) continue;
      turn_ = request + 1;
      return try_change(fmt::format("'{}' element {} is {}", argument, request * columns + column, value), request,
                        change);
    }
  }

  /// Tries a change of a record of a plan that is not a sentinel. Successive calls take different records. A record is
  /// not taken if the change makes it write the state row of another record: then either row is right.
  void try_record(const char* plan, const std::string& what, const std::function<void(TokenPlan&)>& change) {
    const auto records = records_of<TokenPlan>(good_.tensor(plan));
    const auto start = static_cast<std::size_t>(turn_++) % records.size();
    for (std::size_t k = 0; k < records.size(); ++k) {
      const std::size_t i = (start + k) % records.size();
      if (is_sentinel(records[i])) continue;
      auto changed = records;
      change(changed[i]);
      const Change set = [&](Call& call) { call.arg(plan).tensor() = plan_tensor(changed); };
      Call bad = good_;
      set(bad);
      if (!writes_each_row_once(bad)) continue;
      return try_change(fmt::format("{} record {} with {}", plan, i, what), records[i].batch_id, set);
    }
    throw Error(fmt::format("contract: no record of '{}' can be tried with {}", plan, what));
  }

 private:
  [[nodiscard]] bool writes_each_row_once(const Call& call) const {
    const std::vector<V1Row> kept = op_.written_by(call).kept;
    std::set<std::int64_t> rows;
    return std::ranges::all_of(kept, [&](const V1Row& r) { return rows.insert(r.row).second; });
  }

  ScenarioContext& x_;
  const V1Op& op_;
  Call good_;
  std::function<const Observation&()> usual_;
  std::int64_t turn_ = 0;
};

void try_v1_pages(ScenarioContext& x, const V1Op& op, const std::string& argument) {
  V1Outside outside(x, op);
  const std::int64_t pages = outside.good().tensor("kv_buffer").size(0);
  const HostTensor& t = outside.good().tensor(argument);
  // The fourth column of extra is a position. It decides between two pages, so each of its values names a page.
  const std::int64_t columns = t.rank() == 1 ? 1 : std::min<std::int64_t>(t.size(1), 3);
  for (std::int64_t column = 0; column < columns; ++column) {
    for (const std::int32_t value : numbers_outside(pages)) outside.try_number(argument, column, value);
  }
}

void try_v1_lengths(ScenarioContext& x, const V1Op& op) {
  constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
  V1Outside outside(x, op);
  const auto group = static_cast<std::int32_t>(op.ratio());
  for (const std::int32_t length : {0, -1, -group, std::numeric_limits<std::int32_t>::min(), 1 << 30, kLargest}) {
    outside.try_number("seq_lens", 0, length);
  }
}

void try_v1_plan(ScenarioContext& x, const V1Op& op, const char* plan) {
  V1Outside outside(x, op);
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
  try_field("position", &TokenPlan::position, {kHigh - 1, kHigh, 0xfffffffb, 0xffffffff});
  if (std::string_view(plan) == "write_plan") return;
  const auto window = static_cast<std::uint32_t>(window_of(op.ratio()));
  try_field("window_len", &TokenPlan::window_len, {window + 1, kHigh, 0xffffffff});
  try_field("position", &TokenPlan::position, {6, kHigh + 1});  // do not end a group
  for (const std::uint32_t token : {of_size("kv_input"), kHigh}) {
    outside.try_record(plan, fmt::format("token {} and a window in the state", token), [token, window](TokenPlan& r) {
      r.ragged_id = token;
      r.window_len = window;
    });
  }
  outside.try_record(plan, "rows before the first token", [&](TokenPlan& r) {
    const auto records = records_of<TokenPlan>(outside.good().tensor(plan));
    r.ragged_id = 0;  // or the first token that no other record names
    while (std::ranges::count(records, r.ragged_id, &TokenPlan::ragged_id) != 0) ++r.ragged_id;
    r.window_len = 0;
    r.position = 255;
  });
}

}  // namespace

std::vector<Scenario> v1_outside(const V1Op& op) {
  std::vector<Scenario> list;
  // The first smoke point has pages, and the second one has rings.
  const auto add = [&](const std::string& argument, bool rings, std::function<void(ScenarioContext&)> run) {
    std::vector<std::string> points{op.info().smoke[0]};
    if (rings) points.push_back(op.info().smoke[1]);
    list.push_back(
        {Scenario::Kind::kContract, argument + "_outside",
         fmt::format("a number in '{}' outside its range changes the rows of its own request only", argument),
         op.at(points), std::move(run)});
  };
  for (const Argument& a : op.info().signature.arguments()) {
    // A decode call of ratio 128 does not use extra, so its extra has another size than the number of requests.
    if (a.name == "indices" || (a.name == "extra" && a.dim_of("requests") == 0)) {
      add(a.name, a.name == "indices", [&op, name = a.name](ScenarioContext& x) { try_v1_pages(x, op, name); });
    }
    if (a.name == "seq_lens") add(a.name, true, [&op](ScenarioContext& x) { try_v1_lengths(x, op); });
    if (a.name == "compress_plan")
      add(a.name, true, [&op](ScenarioContext& x) { try_v1_plan(x, op, "compress_plan"); });
    if (a.name == "write_plan") add(a.name, true, [&op](ScenarioContext& x) { try_v1_plan(x, op, "write_plan"); });
  }
  return list;
}

}  // namespace dsv4
