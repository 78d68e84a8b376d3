#include "harness/core/shell.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace dsv4 {
namespace {

bool is_control(char c) { return std::iscntrl(static_cast<unsigned char>(c)) != 0; }

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-./,=:+").find(c) != std::string_view::npos;
  });
  if (plain) return word;
  const bool escaped = std::ranges::any_of(word, is_control);
  std::string out = escaped ? "$'" : "'";
  for (const char c : word) {
    if (escaped && is_control(c)) {
      out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    } else if (escaped && (c == '\'' || c == '\\')) {
      out += {'\\', c};
    } else if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

std::string shell_command(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

}  // namespace dsv4
