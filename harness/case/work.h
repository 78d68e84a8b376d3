/// Estimates how much work a case is, to sort cases.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "harness/case/case.h"

namespace dsv4 {

/// The value of a parameter as an integer; nullopt if it is a word.
std::optional<std::int64_t> number_in(std::string_view value);

/// Estimates the work of a case from the sizes in its parameters. The estimate is only good for sorting cases.
double expected_work(const Case& c);

}  // namespace dsv4
