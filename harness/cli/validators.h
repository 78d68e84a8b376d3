/// Kinds of options, and checks of their values. CLI11 does not have these checks, or its checks are not strict enough.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "harness/core/text.h"

namespace dsv4 {

/// An option that may be given several times, each time with one value.
inline CLI::Option* repeatable(CLI::Option* option) { return option->expected(1)->take_all()->allow_extra_args(false); }

/// Returns the number that `text` is in decimal notation; nullopt for any other text. CLI11 would also read hexadecimal
/// and octal numbers, so that 010 would mean 8.
template <class Number>
std::optional<Number> decimal(const std::string& text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [at, code] = std::from_chars(text.data(), end, value);
  const bool leading_zero = text.size() > 1 && text[0] == '0' && text[1] != '.' && text[1] != 'e';
  if (text.empty() || leading_zero || code != std::errc{} || at != end) return std::nullopt;
  return value;
}

/// Accepts only digits, and only numbers that fit in 64 bits. CLI11 would read -1 as a large number, and would change a
/// number that is too large.
inline CLI::Validator natural_number() {
  return {[](std::string& text) -> std::string {
            if (decimal<std::uint64_t>(text)) return "";
            return fmt::format("'{}' is not a number from 0 to 2^64-1", shortened(text, 50));
          },
          ""};
}

/// Accepts a number of worker processes.
inline CLI::Validator number_of_jobs(int most) {
  return {[most](std::string& text) -> std::string {
            const auto value = decimal<int>(text);
            if (value && *value >= 1 && *value <= most) return "";
            return fmt::format("'{}' is not a number from 1 to {}", shortened(text, 50), most);
          },
          ""};
}

/// Accepts a finite number of seconds that is above 0 and at most 1e9.
inline CLI::Validator positive_seconds() {
  return {[](std::string& text) -> std::string {
            const auto value = decimal<double>(text);
            if (value && std::isfinite(*value) && *value > 0 && *value <= 1e9) return "";
            return fmt::format("'{}' is not a number above 0 and at most 1e9", shortened(text, 50));
          },
          ""};
}

/// Accepts the memory of a worker in GiB; 0 means no limit. With less than 0.25 GiB, a worker could not even load the
/// modules. Every comparison with NaN is false, so the condition is written such that NaN fails.
inline CLI::Validator worker_memory() {
  return {[](std::string& text) -> std::string {
            const auto value = decimal<double>(text);
            if (value && (*value == 0 || (*value >= 0.25 && *value <= 1e6))) return "";
            return fmt::format("'{}' is neither 0 nor a number from 0.25 to 1000000", shortened(text, 50));
          },
          ""};
}

/// Refuses an empty name. An empty name comes from a variable that a script forgot to set, and never means the default.
inline CLI::Validator not_empty() {
  return {[](std::string& text) -> std::string { return text.empty() ? "the name is empty" : ""; }, ""};
}

}  // namespace dsv4
