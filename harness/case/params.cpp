#include "harness/case/params.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(value) != text) return std::nullopt;  // ids are canonical: a number has one spelling
  return value;
}

}  // namespace

const std::string* Params::find(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return &value;
  }
  return nullptr;
}

Params& Params::set(std::string_view name, std::string_view value) {
  for (auto& [key, old] : pairs_) {
    if (key == name) {
      old = value;
      return *this;
    }
  }
  pairs_.emplace_back(name, value);
  return *this;
}

const std::string& Params::text(std::string_view name) const {
  if (const auto* value = find(name)) return *value;
  throw Error(fmt::format("parameter '{}' is missing from '{}'", name, str()));
}

std::int64_t Params::integer(std::string_view name) const {
  const auto value = parse_integer(text(name));
  if (!value) throw Error(fmt::format("parameter '{}': '{}' is not an integer", name, text(name)));
  return *value;
}

bool Params::flag(std::string_view name) const {
  const auto& value = text(name);
  if (value == "0") return false;
  if (value == "1") return true;
  throw Error(fmt::format("parameter '{}': '{}' is neither 0 nor 1", name, value));
}

std::string Params::str() const {
  std::string out;
  for (const auto& [key, value] : pairs_) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out;
}

ParamSpec ParamSpec::choice(std::string name, std::vector<std::string> choices, std::string meaning) {
  ParamSpec spec;
  spec.name = std::move(name);
  spec.meaning = std::move(meaning);
  spec.choices = std::move(choices);
  return spec;
}

ParamSpec ParamSpec::integer(std::string name, std::int64_t min, std::int64_t max, std::string meaning,
                             std::vector<std::int64_t> interesting) {
  ParamSpec spec;
  spec.name = std::move(name);
  spec.meaning = std::move(meaning);
  spec.min = min;
  spec.max = max;
  spec.interesting = std::move(interesting);
  return spec;
}

std::optional<std::string> ParamSpec::reject(std::string_view value) const {
  if (!choices.empty()) {
    if (std::ranges::find(choices, value) != choices.end()) return std::nullopt;
    return fmt::format("'{}' is not a value of '{}', which is one of {}", value, name, fmt::join(choices, ", "));
  }
  const auto number = parse_integer(value);
  if (!number)
    return fmt::format("'{}' is not a value of '{}', which is an integer in [{}, {}]", value, name, min, max);
  if (*number < min || *number > max) return fmt::format("{}={} is out of range [{}, {}]", name, value, min, max);
  return std::nullopt;
}

}  // namespace dsv4
