#include "harness/report/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

template <typename Change>
std::string each_line(std::string_view text, const Change& change) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    out += change(std::string(line)) + "\n";
  }
  return out;
}

/// Number of columns of a line, without the codes of its colours.
std::size_t visible_width(std::string_view line) {
  std::size_t hidden = 0;
  for (std::size_t at = line.find('\x1b'); at != std::string_view::npos; at = line.find('\x1b', at + 1))
    hidden += line.find('m', at) - at + 1;
  return width_of(line) - hidden;
}

}  // namespace

std::string painted(const Layout& layout, Paint paint, const std::string& text) {
  if (!layout.color) return text;
  const char* code = paint == Paint::kBold ? "1" : paint == Paint::kGood ? "32" : paint == Paint::kBad ? "1;31" : "2";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string lines_of(const Layout& layout, const std::string& text, std::size_t indent) {
  const std::string line = one_line(text);
  const std::size_t lead = std::min(line.find_first_not_of(' '), line.size());
  const std::string broken = wrap(line.substr(lead), layout.width - lead, indent - std::min(indent, lead));
  return each_line(broken, [&](const std::string& part) { return std::string(lead, ' ') + part; });
}

std::string painted_lines(const Layout& layout, Paint paint, const std::string& text) {
  return each_line(text, [&](const std::string& line) { return painted(layout, paint, line); });
}

std::size_t rows_of(const Layout& layout, const std::string& text) {
  std::size_t rows = 0;
  each_line(text, [&](const std::string& line) {
    const std::size_t width = visible_width(line);
    rows += std::max<std::size_t>(1, (width + layout.width - 1) / layout.width);
    return line;
  });
  return rows;
}

}  // namespace dsv4
