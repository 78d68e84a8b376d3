#include "harness/op/derived.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/indices.h"
#include "harness/op/pairs.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

/// Returns one integer dtype and one floating-point dtype that the argument does not take.
std::vector<DType> strangers_to(const Argument& a) {
  std::vector<DType> strangers;
  for (const bool floating : {false, true}) {
    for (const DType dtype : {DType::kI64, DType::kI32, DType::kI16, DType::kBF16, DType::kF32, DType::kF16}) {
      const bool taken = std::ranges::find(a.dtypes, dtype) != a.dtypes.end();
      if (is_floating(dtype) != floating || taken) continue;
      strangers.push_back(dtype);
      break;
    }
  }
  return strangers;
}

/// A change that passes `other(t)` instead of `t`, the tensor of `argument`.
Change replaced(std::string argument, std::function<HostTensor(const HostTensor&)> other) {
  return [argument = std::move(argument), other = std::move(other)](Call& call) {
    Arg& arg = call.arg(argument);
    arg.value = other(arg.tensor());
    arg.footprint.clear();  // the footprint belongs to the old tensor
  };
}

/// A change that adds `by` to the size of dimension `dim`. A size that would become negative is 0 instead.
Change resized(const std::string& argument, std::size_t dim, std::int64_t by) {
  return replaced(argument, [dim, by](const HostTensor& t) {
    Shape shape = t.shape;
    shape[dim] = std::max<std::int64_t>(0, shape[dim] + by);
    return HostTensor::make(t.dtype, shape);
  });
}

/// A zeroed tensor with one dimension fewer: the first two dimensions are merged.
HostTensor flattened(const HostTensor& t) {
  Shape shape(t.shape.begin() + 1, t.shape.end());
  shape[0] *= t.shape[0];
  return HostTensor::make(t.dtype, shape);
}

/// The elements of `t` in the layout of `other`, whose gaps are poisoned.
HostTensor copied(const HostTensor& t, HostTensor other) {
  poison(other);
  for (std::int64_t i = 0; i < t.numel(); ++i)
    std::memcpy(other.element(i), t.element(i), static_cast<std::size_t>(size_of(t.dtype)));
  return other;
}

/// The same tensor with a gap after each element. The other dimensions add no further gaps.
HostTensor spread_elements(const HostTensor& t) {
  Shape strides(t.rank());
  std::int64_t step = 2;
  for (std::size_t d = t.rank(); d-- > 0; step *= t.shape[d]) strides[d] = step;
  return copied(t, HostTensor::strided(t.dtype, t.shape, strides));
}

/// The same tensor with a gap after each row. The elements of a row are adjacent.
HostTensor spread_rows(const HostTensor& t) {
  return copied(t, HostTensor::with_gaps(t.dtype, t.shape, t.shape.back()));
}

/// A contract: for each layout of `argument`, the call is refused because of the strides, or gives the same outputs.
void run_gaps(ScenarioContext& x, const std::string& argument,
              const std::vector<std::function<HostTensor(const HostTensor&)>>& layouts) {
  const Call good = x.op.make(x.c);
  const HostTensor& usual = good.tensor(argument);
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    const std::string where = layouts.size() == 1 ? "gaps" : fmt::format("gaps {}", i + 1);
    Call spread = good;
    replaced(argument, layouts[i])(spread);
    CallResult answer = attempt(x, where, spread);
    if (answer.refusal) {
      x.expect_refused(where, spread, argument, "stride|contiguous");
      continue;
    }
    for (Arg& arg : answer.args) {
      if (arg.name == argument) arg.value = copied(arg.tensor(), HostTensor(usual));
    }
    x.expect_agree(where, x.op.observe(x.c, good, answer), x.observed("no gaps", good));
  }
}

void add_contracts_of(const Argument& a, const Signature& signature, Contracts& contracts) {
  const std::string& name = a.name;
  std::vector<Change> dtypes;
  for (const DType other : strangers_to(a))
    dtypes.push_back(replaced(name, [other](const HostTensor& t) { return HostTensor::make(other, t.shape); }));
  contracts.refused_each(a.contract("dtype"), "a tensor with another dtype is refused, not reinterpreted", name,
                         "dtype", std::move(dtypes));
  std::vector<Change> ranks{replaced(name, [](const HostTensor& t) {
    Shape shape = t.shape;
    shape.push_back(1);
    return HostTensor::make(t.dtype, shape);
  })};
  if (a.dims.size() > 1) ranks.push_back(replaced(name, flattened));
  contracts.refused_each(a.contract("rank"), "a tensor with one dimension more, or one dimension fewer, is refused",
                         name, "dimension", std::move(ranks));
  for (std::size_t d = 0; d < a.dims.size(); ++d) {
    if (!signature.is_tied(a, d)) continue;
    contracts.refused_each(a.contract(a.dims[d].label),
                           fmt::format("sizes one above and one below '{}' are refused", a.dims[d].symbol), name,
                           "size|element|stride", {resized(name, d, 1), resized(name, d, -1)});
  }
  const bool single = std::ranges::all_of(a.dims, [](const Dim& dim) { return dim.symbol == "1"; });
  if (!single) {
    std::vector<std::function<HostTensor(const HostTensor&)>> gaps{spread_elements};
    if (!a.has_gaps() && a.dims.size() > 1) gaps.emplace_back(spread_rows);
    contracts.add(a.contract(a.has_gaps() ? "columns_strided" : "strided"),
                  "a tensor with gaps between its elements is refused, or read and written as such",
                  [name, gaps](ScenarioContext& x) { run_gaps(x, name, gaps); });
  }
  if (a.traits.place) {
    const Place wrong = *a.traits.place == Place::kHost ? Place::kDevice : Place::kHost;
    contracts
        .refused_each(a.contract(wrong == Place::kHost ? "on_host" : "on_device"),
                      "a tensor in the wrong memory is refused, and its memory is not accessed", name, "CUDA|host",
                      {[name, wrong](Call& call) { call.arg(name).place = wrong; }})
        .needs_device = true;
  }
}

/// The op's tensor arguments in device memory. Each has a list of the smoke points at which it is in device memory and
/// not empty.
using DeviceTensors = std::map<std::string, std::vector<Params>>;

DeviceTensors find_device_tensors(const Op& op) {
  DeviceTensors found;
  for (const Params& point : op.points(Tier::kSmoke)) {
    const Call call = op.make({op.info().name, "", point, 1});
    for (const Arg& arg : call.args) {
      if (arg.is_tensor() && arg.place == Place::kDevice && arg.tensor().numel() != 0) found[arg.name].push_back(point);
    }
  }
  return found;
}

/// The same, but cached for each registered op, because every scenario case needs these arguments.
DeviceTensors device_tensors(const Op& op) {
  if (find_op(op.info().name) != &op) return find_device_tensors(op);
  static std::map<const Op*, DeviceTensors> known;
  auto it = known.find(&op);
  if (it == known.end()) it = known.emplace(&op, find_device_tensors(op)).first;
  return it->second;
}

/// Adds "relation:index_types" for the first integer argument that has several dtypes and whose dtype a
/// parameter names.
void add_index_types(const Op& op, std::vector<Scenario>& list) {
  for (const Argument& a : op.info().signature.arguments()) {
    if (a.traits.dtype_of.empty() || a.dtypes.size() < 2 || is_floating(a.dtypes.front())) continue;
    const std::string first(name_of(a.dtypes[0])), second(name_of(a.dtypes[1]));
    list.push_back(params_relation(
        "index_types", fmt::format("the outputs are the same with '{}' as {} and as {}", a.name, first, second),
        kFirstSmokePoint,
        [param = a.traits.dtype_of, first, second](Params& p) { p.set(param, p.is(param, first) ? second : first); }));
    return;
  }
}

/// The op's smoke points. In the quick tier also points of the quick tier, so that each value that a parameter has in
/// the tier occurs: an access beyond a tensor often depends on one size.
Points edge_points(const Op& op) {
  return [&op](Tier tier) {
    if (tier == Tier::kFull) return std::vector<Params>{};
    std::vector<Params> points = op.points(Tier::kSmoke);
    if (tier == Tier::kSmoke) return points;
    std::set<std::pair<std::string, std::string>> seen;
    const auto is_new = [&](const Params& p) {
      const std::size_t before = seen.size();
      seen.insert(p.pairs().begin(), p.pairs().end());
      return seen.size() != before;
    };
    std::ranges::for_each(points, is_new);
    std::ranges::copy_if(op.points(Tier::kQuick), std::back_inserter(points), is_new);
    return points;
  };
}

std::vector<Scenario> every_derived(const Op& op) {
  const Signature& signature = op.info().signature;
  std::vector<Scenario> list;
  const std::string& point = op.info().contract_point;
  const Points contract_points = point.empty() ? Points(kFirstSmokePoint) : op.at({point});
  Contracts contracts(list, contract_points);
  for (const Argument& a : signature.arguments()) {
    if (a.is_tensor() && a.traits.reached_by.empty()) add_contracts_of(a, signature, contracts);
  }
  const std::string& batch = signature.batch();
  if (!batch.empty()) {
    contracts.edge("no_" + batch, "if the batch is empty, nothing is written, or the call is refused",
                   [&op](Call& call) { keep_batch(op, call, {}); });
    list.push_back(
        batch_relation("the result of a row does not depend on the other rows", kFirstSmokePoint,
                       [&op](Call& call, const std::vector<std::int64_t>& rows) { keep_batch(op, call, rows); }));
  }
  for (const Argument& a : signature.arguments()) {
    if (!holds_indices(a, signature)) continue;
    const std::string at = a.traits.index ? a.traits.index->at : "";
    list.push_back(indices_contract(a, at.empty() ? contract_points : op.at({at})));
  }
  add_index_types(op, list);
  for (const Argument& a : signature.arguments()) {
    if (!a.traits.far.empty()) {
      list.push_back(far_relation(a.name, fmt::format("rows of '{}' that lie 2^31 elements apart", a.name),
                                  op.at({a.traits.far}), move_apart(a.name)));
    }
  }
  list.push_back(repeat_relation());
  for (const Edge edge : {Edge::kEnd, Edge::kStart}) list.push_back(edge_relation(edge, edge_points(op)));
  for (Pair& pair : op.pairs()) list.push_back(pair_relation(std::move(pair)));
  return list;
}

}  // namespace

std::vector<Scenario> derived_scenarios(const Op& op) {
  std::vector<Scenario> list = every_derived(op);
  std::erase_if(list, [&](const Scenario& s) { return op.info().without.contains(s.label()); });
  std::vector<Params> with_device_tensors;
  for (const auto& [argument, points] : device_tensors(op)) {
    for (const Params& point : points) {
      if (std::ranges::find(with_device_tensors, point) == with_device_tensors.end())
        with_device_tensors.push_back(point);
    }
    Scenario late = late_relation(argument, only(points));
    if (!op.info().without.contains(late.label())) list.push_back(std::move(late));
  }
  Scenario before_next = writes_before_next_relation(only(with_device_tensors));
  if (!with_device_tensors.empty() && !op.info().without.contains(before_next.label())) {
    list.push_back(std::move(before_next));
  }
  return list;
}

void keep_batch(const Op& op, Call& call, const std::vector<std::int64_t>& rows) {
  const Signature& signature = op.info().signature;
  for (const Argument& a : signature.arguments()) {
    const int dim = a.is_tensor() ? a.dim_of(signature.batch()) : -1;
    if (dim < 0 || !call.arg(a.name).is_tensor()) continue;
    if (dim > 0) {
      throw Error(fmt::format(
          "op '{}': the batch is not the first dimension of '{}'; leave out the checks that split the batch",
          op.info().name, a.name));
    }
    Arg& arg = call.arg(a.name);
    arg.tensor() = rows_of(arg.tensor(), rows);
    arg.footprint.clear();
  }
  op.fit(call);
}

void check_declaration(const Op& op) {
  const OpInfo& info = op.info();
  for (const auto* lines : {&info.smoke, &info.quick, &info.full, &info.bench}) info.space.check(*lines);
  for (const std::string& line : info.smoke) (void)op.params_at(line);
  if (!info.contract_point.empty()) (void)op.params_at(info.contract_point);
  (void)op.scenarios();
  if (info.without.empty()) return;
  std::set<std::string> labels;
  for (const Scenario& s : every_derived(op)) labels.insert(s.label());
  for (const Argument& a : info.signature.arguments()) labels.insert("relation:late_" + a.name);
  labels.insert("relation:writes_before_next");
  for (const auto& [label, reason] : info.without) {
    if (!labels.contains(label)) throw Error(fmt::format("'without' names '{}', which is not a derived check", label));
    if (reason.empty()) throw Error(fmt::format("'without' gives no reason for '{}'", label));
  }
}

}  // namespace dsv4
