/// Kinds of options, and checks of their values. CLI11 does not have these checks, or its checks are not strict enough.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

namespace dsv4 {

/// An option that may be given several times, each time with one value.
inline CLI::Option* repeatable(CLI::Option* option) { return option->expected(1)->take_all()->allow_extra_args(false); }

/// Accepts only digits, and only numbers that fit in 64 bits. CLI11 would read -1 as a large number, and would change a
/// number that is too large.
inline CLI::Validator natural_number() {
  return {[](std::string& text) -> std::string {
            std::uint64_t value = 0;
            const char* const end = text.data() + text.size();
            const auto [at, code] = std::from_chars(text.data(), end, value);
            const bool good = !text.empty() && code == std::errc{} && at == end;
            return good ? "" : fmt::format("'{}' is not a number from 0 to 2^64-1", text.substr(0, 50));
          },
          ""};
}

/// Accepts a finite number of seconds that is above 0 and at most 1e9.
inline CLI::Validator positive_seconds() {
  return {[](std::string& text) -> std::string {
            double value = 0;
            const bool good =
                CLI::detail::lexical_cast(text, value) && std::isfinite(value) && value > 0 && value <= 1e9;
            return good ? "" : fmt::format("'{}' is not a number above 0 and at most 1e9", text.substr(0, 50));
          },
          ""};
}

/// Accepts the memory of a worker in GiB; 0 means no limit. With less than 0.25 GiB, a worker could not even load the
/// modules. Every comparison with NaN is false, so the condition is written such that NaN fails.
inline CLI::Validator worker_memory() {
  return {[](std::string& text) -> std::string {
            double value = 0;
            const bool number = CLI::detail::lexical_cast(text, value);
            const bool good = number && (value == 0 || (value >= 0.25 && value <= 1e6));
            return good ? "" : fmt::format("'{}' is neither 0 nor a number from 0.25 to 1000000", text.substr(0, 50));
          },
          ""};
}

/// Refuses an empty name. An empty name comes from a variable that a script forgot to set, and never means the default.
inline CLI::Validator not_empty() {
  return {[](std::string& text) -> std::string { return text.empty() ? "the name is empty" : ""; }, ""};
}

}  // namespace dsv4
