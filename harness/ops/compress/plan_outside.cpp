#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

using Tokens = std::vector<BatchToken>;

/// The entries of both plans whose token belongs to a request that is `in` the range of requests [first, last], or not.
/// An entry that names no token of the batch is in the range.
Part entries_of_requests(const Tokens& tokens, std::int64_t first, std::int64_t last, bool in) {
  return [=](const Observation& o) {
    Observation part;
    for (const char* name : {"compress_plan", "write_plan"}) {
      const HostTensor& plan = o.output(name);
      std::vector<std::int64_t> rows;
      for (std::int64_t i = 0; i < plan.size(0); ++i) {
        const auto token = static_cast<std::size_t>(plan.at<std::int32_t>(i, 0));
        const bool inside = token >= tokens.size() || (tokens[token].request >= first && tokens[token].request <= last);
        if (inside == in) rows.push_back(i);
      }
      part.add(name, rows_of(plan, rows));
    }
    return part;
  };
}

/// Elements of `argument` that decide the plan rows of request `b`.
std::vector<std::int64_t> elements_of(const Call& good, const Tokens& tokens, const std::string& argument,
                                      std::int64_t b) {
  if (argument != "req_to_token" && argument != "full_to_swa") return {b};
  const HostTensor& slots = good.tensor("req_to_token");
  std::vector<std::int64_t> elements;
  for (const BatchToken& t : tokens) {
    if (t.request != b) continue;
    elements.push_back(argument == "req_to_token" ? t.id * slots.size(1) + t.position
                                                  : slots.at<std::int32_t>(t.id, t.position));
  }
  return elements;
}

std::int64_t limit_of(const Call& good, const std::string& argument) {
  const bool has_maps = has_argument(good, "req_to_token");
  if (argument == "req_pool_indices" && has_maps) return good.tensor("req_to_token").size(0);
  if (argument == "req_to_token") return good.tensor("full_to_swa").numel();
  if (argument == "seq_lens" && has_maps) return good.tensor("req_to_token").size(1);
  return -1;
}

void run_outside(ScenarioContext& x, const std::string& argument) {
  const Call good = x.op.make(x.c);
  const Batch batch = batch_of(good);
  const Tokens tokens = tokens_of(batch);
  const auto usual = observed_once(x, good);
  std::int64_t b = 0;
  const bool count = argument == "seq_lens" || argument == "extend_lens";
  for (const std::int64_t value : values_outside(limit_of(good, argument), count, good.tensor(argument).dtype)) {
    b = (b + 1) % batch.size();
    const auto elements = elements_of(good, tokens, argument, b);
    if (elements.empty()) continue;
    // A wrong number of new tokens also moves the tokens of later requests.
    const std::int64_t last = argument == "extend_lens" ? batch.size() - 1 : b;
    for (const std::int64_t element : {elements.front(), elements.back()}) {
      Call bad = good;
      set_integer(bad.arg(argument).tensor(), element, value);
      try_outside(x, fmt::format("'{}' element {} is {}", argument, element, value), bad, good, usual,
                  entries_of_requests(tokens, b, last, false), entries_of_requests(tokens, b, last, true));
    }
  }
}

}  // namespace

std::vector<Scenario> prefill_plan_outside(const Op& op) {
  const OpInfo& info = op.info();
  const bool on_device = info.space.find("lens") != nullptr;
  std::vector<std::string> points{info.contract_point}, device{"lens=device graph=1 batch=5 len=21"};
  if (on_device) points.push_back(device.front());
  std::vector<Scenario> list;
  for (const Argument& a : info.signature.arguments()) {
    if (!a.is_tensor() || a.role != Role::kIn) continue;
    const bool length = a.name == "seq_lens" || a.name == "extend_lens";
    if (length && !on_device) continue;
    list.push_back(
        {Scenario::Kind::kContract, a.contract("outside"),
         fmt::format("a value of '{}' outside its range is refused, or changes only the entries of its request",
                     a.name),
         op.at(length ? device : points), [name = a.name](ScenarioContext& x) { run_outside(x, name); }});
  }
  return list;
}

}  // namespace dsv4
