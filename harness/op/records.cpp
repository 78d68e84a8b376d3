#include "harness/op/records.h"

#include <algorithm>
#include <map>

#include "harness/generate/random.h"

namespace dsv4 {

HostTensor numbers(const std::vector<std::int64_t>& values, DType dtype) {
  HostTensor t = HostTensor::make(dtype, {std::ssize(values)});
  for (std::size_t i = 0; i < values.size(); ++i) set_integer(t, static_cast<std::int64_t>(i), values[i]);
  return t;
}

std::vector<std::int64_t> numbers_of(const Call& call, std::string_view name) {
  const HostTensor& t = call.tensor(name);
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0, n = t.numel(); i < n; ++i) values.push_back(integer_at(t, i));
  return values;
}

std::int64_t integer_of(const Call& call, std::string_view name) {
  return std::get<std::int64_t>(call.arg(name).value);
}

bool flag_of(const Call& call, std::string_view name) { return std::get<bool>(call.arg(name).value); }

bool has_argument(const Call& call, std::string_view name) {
  return std::ranges::any_of(call.args, [&](const Arg& arg) { return arg.name == name; });
}

HostTensor returned_tensor(const CallResult& result, std::size_t index) {
  if (index < result.returned.size()) {
    if (const auto* t = std::get_if<HostTensor>(&result.returned[index])) return *t;
  }
  return HostTensor::make(DType::kF64, {0});
}

std::optional<std::int64_t> returned_integer(const CallResult& result, std::size_t index) {
  if (index < result.returned.size()) {
    if (const auto* n = std::get_if<std::int64_t>(&result.returned[index])) return *n;
  }
  return std::nullopt;
}

bool has_records(const HostTensor& t, std::size_t bytes) {
  return t.dtype == DType::kU8 && t.rank() == 2 && t.size(1) == static_cast<std::int64_t>(bytes);
}

void check_distinct(std::string_view name, const std::vector<std::int64_t>& values, std::int64_t limit,
                    Observation& o) {
  std::map<std::int64_t, std::size_t> first;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= limit) {
      o.find("range", fmt::format("{}: row {} holds {}, which is not in [0, {})", name, i, values[i], limit));
    } else if (const auto [at, fresh] = first.emplace(values[i], i); !fresh) {
      o.find("duplicate", fmt::format("{}: rows {} and {} both hold {}", name, at->second, i, values[i]));
    }
  }
}

}  // namespace dsv4
