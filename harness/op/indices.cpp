#include "harness/op/indices.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <utility>

#include "harness/core/error.h"
#include "harness/generate/random.h"
#include "harness/op/records.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

/// A factor of a limit: a symbol of a shape, an integer argument or a compile-time parameter.
std::int64_t factor(const Op& op, const Call& call, const std::string& name) {
  const Sizes sizes = op.info().signature.sizes_of(call);
  if (const auto size = sizes.find(name); size != sizes.end()) return size->second;
  if (has_argument(call, name)) return integer_of(call, name);
  if (call.compile.has(name)) return call.compile.integer(name);
  throw Error(
      fmt::format("op '{}': '{}' is not a size, an argument or a compile-time parameter", op.info().name, name));
}

/// The value of Index::limit for a call; -1 if there is none.
std::int64_t limit_of(const Op& op, const Call& call, std::string_view factors) {
  if (factors.empty()) return -1;
  std::int64_t limit = 1;
  for (const auto& name : std::views::split(factors, '*')) limit *= factor(op, call, {name.begin(), name.end()});
  return limit;
}

/// The rows of each output whose number is in `rows`, or is not in it.
Part rows_in(std::set<std::int64_t> rows, bool in) {
  return [rows = std::move(rows), in](const Observation& o) {
    Observation part;
    for (const Output& output : o.outputs) {
      std::vector<std::int64_t> chosen;
      for (std::int64_t r = 0; r < output.value.size(0); ++r) {
        if (rows.contains(r) == in) chosen.push_back(r);
      }
      part.add(output.name, rows_of(output.value, chosen));
    }
    return part;
  };
}

/// The same outputs under other names, so that a known fault can cover the rows that use the value, and no other row.
Observation of_own_rows(Observation o) {
  for (Output& output : o.outputs) output.name += kOfOwnRows;
  return o;
}

void run_indices(ScenarioContext& x, const Argument& a) {
  const Call good = x.op.make(x.c);
  const Index index = a.traits.index.value_or(Index{});
  const std::int64_t rows = factor(x.op, good, x.op.info().signature.batch());
  const auto usual = observed_once(x, good);
  std::int64_t row = 0;
  for (const std::int64_t value :
       values_outside(limit_of(x.op, good, index.limit), index.count, good.tensor(a.name).dtype)) {
    const auto elements = x.op.indices_of(good, a.name, row++ % rows);
    if (elements.empty()) continue;
    for (const std::int64_t element : std::set{elements.front(), elements.back()}) {
      std::set<std::int64_t> users;
      for (std::int64_t r = 0; r < rows; ++r) {
        if (std::ranges::count(x.op.indices_of(good, a.name, r), element) != 0) users.insert(r);
      }
      Call bad = good;
      set_integer(bad.arg(a.name).tensor(), element, value);
      x.op.fit(bad);
      try_outside(x, fmt::format("'{}' element {} is {}", a.name, element, value), bad, bad, usual,
                  rows_in(users, false), rows_in(users, true));
    }
  }
}

}  // namespace

bool holds_indices(const Argument& a, const Signature& signature) {
  if (!a.is_tensor() || a.role != Role::kIn) return false;
  if (a.traits.index) return true;
  const DType dtype = a.dtypes.front();
  if (a.traits.place != Place::kDevice) return false;  // the function itself can check values in host memory
  return (dtype == DType::kI32 || dtype == DType::kI64) && !signature.batch().empty() &&
         a.dim_of(signature.batch()) == 0;
}

Scenario indices_contract(const Argument& a, Points points) {
  return {Scenario::Kind::kContract, a.contract("outside"),
          fmt::format("a value of '{}' outside its range is refused, or changes only the rows that use it, in a way "
                      "that does not depend on the memory around the arguments",
                      a.name),
          std::move(points), [a](ScenarioContext& x) { run_indices(x, a); }};
}

std::vector<std::int64_t> values_outside(std::int64_t limit, bool count, DType dtype) {
  const bool wide = dtype == DType::kI64;
  // Kernels treat -1 specially, so -2 too.
  std::vector<std::int64_t> values{
      -1, -2, wide ? std::numeric_limits<std::int64_t>::min() : std::int64_t{std::numeric_limits<std::int32_t>::min()}};
  if (count) values.push_back(0);
  if (limit >= 0) values.push_back(limit + (count ? 1 : 0));
  values.insert(values.end(), {std::int64_t{1} << 30, std::numeric_limits<std::int32_t>::max()});
  if (wide) {
    values.insert(values.end(), {std::int64_t{1} << 31, std::int64_t{1} << 32, std::int64_t{1} << 40,
                                 std::numeric_limits<std::int64_t>::max()});
  }
  std::erase_if(values, [&](std::int64_t v) { return v > 0 && v < limit; });
  return values;
}

void try_outside(ScenarioContext& x, const std::string& where, const Call& bad, const Call& read_as,
                 const std::function<const Observation&()>& usual, const Part& others, const Part& own) {
  const auto observed = [&](const CallResult& result) {
    Observation o = x.op.observe(x.c, read_as, result);
    o.findings.clear();
    return o;
  };
  if (x.subject.shows_edges()) {
    // These calls come first. An access beyond a tensor ends the process, and the report says which tensor it was.
    for (const Edge edge : {Edge::kStart, Edge::kEnd}) (void)attempt(x, where, bad, {.edge = edge});
  }
  const CallResult first = attempt(x, where, bad, {.poison = 0});
  if (first.refusal) return;
  const Observation got = observed(first);
  x.expect_agree(where + ", other rows", others(got), others(usual()));
  const CallResult second = attempt(x, where, bad, {.poison = 1});
  if (second.refusal) {
    return x.fail("undefined", fmt::format("{}: the call is refused with other memory around the arguments", where));
  }
  x.expect_agree(where + ", with other memory around the arguments", of_own_rows(own(observed(second))),
                 of_own_rows(own(got)));
}

std::function<const Observation&()> observed_once(ScenarioContext& x, const Call& good) {
  const auto made = std::make_shared<std::optional<Observation>>();
  return [&x, good, made]() -> const Observation& {
    if (!*made) *made = x.observed("valid call", good);
    return **made;
  };
}

}  // namespace dsv4
