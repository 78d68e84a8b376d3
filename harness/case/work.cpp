#include "harness/case/work.h"

#include <charconv>
#include <cmath>

namespace dsv4 {

std::optional<std::int64_t> number_in(std::string_view value) {
  std::int64_t n = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), n);
  return code == std::errc{} && end == value.data() + value.size() ? std::optional(n) : std::nullopt;
}

double expected_work(const Case& c) {
  double work = 0;
  for (const auto& [name, value] : c.params.pairs()) {
    if (const auto n = number_in(value)) work += std::log1p(std::abs(static_cast<double>(*n)));
  }
  return work;
}

}  // namespace dsv4
