/// Kinds of options, and checks of their values that CLI11 has not, or not strictly enough.
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

/// Digits only, and at most 64 bits: CLI11 would take -1 for a large number, and a number too large for another one.
inline CLI::Validator natural_number() {
  return {[](std::string& text) -> std::string {
            std::uint64_t value = 0;
            const char* const end = text.data() + text.size();
            const auto [at, code] = std::from_chars(text.data(), end, value);
            const bool good = !text.empty() && code == std::errc{} && at == end;
            return good ? "" : fmt::format("'{}' is no number from 0 to 2^64-1", text.substr(0, 50));
          },
          ""};
}

/// Seconds above zero; no NaN, no infinity.
inline CLI::Validator positive_seconds() {
  return {[](std::string& text) -> std::string {
            double value = 0;
            const bool good =
                CLI::detail::lexical_cast(text, value) && std::isfinite(value) && value > 0 && value <= 1e9;
            return good ? "" : fmt::format("'{}' is no number above 0", text.substr(0, 50));
          },
          ""};
}

/// The memory of a worker in GiB, 0 for no limit. With less than a quarter it could not even load the modules. Written
/// so that NaN, which is neither below nor above anything, is refused too.
inline CLI::Validator worker_memory() {
  return {[](std::string& text) -> std::string {
            double value = 0;
            const bool number = CLI::detail::lexical_cast(text, value);
            const bool good = number && (value == 0 || (value >= 0.25 && value <= 1e6));
            return good ? "" : fmt::format("'{}' is neither 0 nor a number from 0.25 to 1000000", text.substr(0, 50));
          },
          ""};
}

/// An empty name is a variable that a script forgot to set, never a wish for the default.
inline CLI::Validator not_empty() {
  return {[](std::string& text) -> std::string { return text.empty() ? "the name is empty" : ""; }, ""};
}

}  // namespace dsv4
