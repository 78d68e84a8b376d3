/// Checks of option values that CLI11 has not, or not strictly enough.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>

namespace dsv4 {

/// Digits only: CLI11 would take -1 for a large unsigned number.
inline CLI::Validator natural_number() {
  return {[](std::string& text) -> std::string {
            const bool good = !text.empty() && text.size() <= 20 &&
                              std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
            return good ? "" : fmt::format("'{}' is no number of 0 or more", text.substr(0, 50));
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

}  // namespace dsv4
