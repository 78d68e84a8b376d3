#include "harness/run/set_code.h"

#include <cctype>
#include <vector>

namespace dsv4 {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// The numbers of a version, without zeros at its end: 0.5.12.post1 gives 0, 5, 12, 1.
std::vector<unsigned long long> numbers_in(std::string_view version) {
  std::vector<unsigned long long> numbers;
  bool inside = false;
  for (const char c : version.substr(0, version.find('+'))) {
    if (!is_digit(c)) {
      inside = false;
      continue;
    }
    if (!inside) numbers.push_back(0);
    inside = true;
    numbers.back() = numbers.back() * 10 + static_cast<unsigned long long>(c - '0');
  }
  while (!numbers.empty() && numbers.back() == 0) numbers.pop_back();
  return numbers;
}

}  // namespace

bool in_range(std::string_view version, std::string_view since, std::string_view fixed) {
  const auto numbers = numbers_in(version);
  return is_version(version) && numbers >= numbers_in(since) && (fixed.empty() || numbers < numbers_in(fixed));
}

bool is_version(std::string_view text) {
  return !text.empty() && is_digit(text.front()) && text.find('.') != std::string_view::npos;
}

}  // namespace dsv4
