#include "harness/op/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/core/error.h"

namespace dsv4 {

namespace {

/// Size of a tensor's elements in bytes, without gaps.
double bytes_of(const HostTensor& t) { return static_cast<double>(t.numel() * size_of(t.dtype)); }

bool is_nan(DType dtype, const std::uint8_t* element) {
  return is_floating(dtype) && std::isnan(value_of(dtype, element));
}

}  // namespace

std::vector<Params> Op::points(Tier tier) const {
  const OpInfo& i = info();
  const auto& lines = tier == Tier::kSmoke ? i.smoke : tier == Tier::kQuick ? i.quick : i.full;
  return i.space.points(
      tier, lines, [this](const Params& p) { return why_not(*this, p); }, [this](const Params& p) { return idle(p); });
}

std::vector<std::int64_t> Op::indices_of(const Call& call, const std::string& argument, std::int64_t row) const {
  const HostTensor& t = call.tensor(argument);
  const std::int64_t width = t.size(0) == 0 ? 0 : t.numel() / t.size(0);
  std::vector<std::int64_t> elements(static_cast<std::size_t>(width));
  std::iota(elements.begin(), elements.end(), row * width);
  return elements;
}

Observation Op::observe(const Case&, const Call& call, const CallResult& result) const {
  Observation o;
  for (const Argument& a : info().signature.arguments()) {
    if (!a.is_output() || !call.arg(a.name).is_tensor()) continue;
    HostTensor t = result.tensor(a.name).packed();
    if (a.traits.any_nan) {
      const auto size = static_cast<std::size_t>(size_of(t.dtype));
      for (std::size_t at = 0; at < t.storage.size(); at += size) {
        std::uint8_t* const element = t.storage.data() + at;
        if (!is_nan(t.dtype, element)) continue;
        std::fill_n(element, size, std::uint8_t{0xff});
        element[size - 1] = 0x7f;
      }
    }
    o.add(a.output_name(), std::move(t));
  }
  return o;
}

Cost Op::cost(const Case&, const Call& call) const {
  double bytes = 0;
  for (const Arg& arg : call.args) {
    if (arg.is_tensor() && arg.role != Role::kWorkspace) {
      bytes += bytes_of(arg.tensor()) * (arg.role == Role::kInOut ? 2 : 1);
    }
  }
  return {.bytes = bytes, .flops = 0};
}

Params Op::params_at(std::string_view point) const {
  Params params = info().space.at(point);
  if (const auto why = why_not(*this, params)) {
    throw Error(fmt::format("op '{}': point '{}' is not a case: {}", info().name, point, *why));
  }
  return params;
}

Points Op::at(std::vector<std::string> points, std::vector<std::string> more) const {
  const auto all = [this](const std::vector<std::string>& lines) {
    std::vector<Params> params;
    for (const std::string& line : lines) params.push_back(params_at(line));
    return params;
  };
  return [first = all(points), second = all(more)](Tier tier) {
    if (tier == Tier::kSmoke) return first;
    return tier == Tier::kQuick ? second : std::vector<Params>{};
  };
}

Call Op::allocate(const Case& c, const Sizes& more, Params compile) const {
  Sizes sizes = more;
  for (const ParamSpec& spec : info().space.specs()) {
    if (spec.choices.empty()) sizes.emplace(spec.name, c.params.integer(spec.name));
  }
  return info().signature.allocate(info().name, std::move(compile), c.params, sizes);
}

Call Op::call(std::vector<Value> values, Params compile) const {
  return info().signature.call(info().name, std::move(compile), std::move(values));
}

Call call_of(const std::string& op, std::vector<Value> values, Params compile) {
  const Op* found = find_op(op);
  if (found == nullptr) throw Error(fmt::format("there is no op '{}'", op));
  return found->call(std::move(values), std::move(compile));
}

std::optional<std::string> why_not(const Op& op, const Params& params) {
  if (auto why = op.reject(params)) return why;
  return op.too_large(params);
}

std::string Scenario::label() const {
  const char* kinds[] = {"contract", "relation", "sequence"};
  return fmt::format("{}:{}", kinds[static_cast<int>(kind)], name);
}

Observation ScenarioContext::observed(const std::string& where, const Call& call, const CallOptions& options) {
  return observed(c, where, call, options);
}

Observation ScenarioContext::observed(const Case& changed, const std::string& where, const Call& call,
                                      const CallOptions& options) {
  return op.observe(changed, call, this->call(where, call, options));
}

Observation ScenarioContext::expected(const Call& call) { return expected(c, call); }

Observation ScenarioContext::expected(const Case& changed, const Call& call) {
  const CallResult result = reference.call(call);
  if (result.refusal) throw Error("the reference refused a valid call: " + *result.refusal);
  return op.observe(changed, call, result);
}

}  // namespace dsv4
