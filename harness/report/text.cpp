#include "harness/report/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/run/progress.h"

namespace dsv4 {
namespace {

/// Length of the valid UTF-8 sequence of a printable character at the start of `text`; 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead <= 0xf4 ? 4 : 0;
  if (lead < 0xc2 || length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xc2 && byte(1) < 0xa0) return 0;                      // C1 control characters
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;                      // overlong
  if (lead == 0xed && byte(1) >= 0xa0) return 0;                     // surrogates
  if (lead == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe) return 0;  // no characters
  if (lead == 0xf0 && byte(1) < 0x90) return 0;                      // overlong
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;                     // beyond Unicode
  // Direction overrides and isolates can make text read differently from what it says.
  if (lead == 0xe2 && byte(1) == 0x80 && (byte(2) >= 0xa8 && byte(2) <= 0xae)) return 0;
  if (lead == 0xe2 && byte(1) == 0x81 && (byte(2) >= 0xa6 && byte(2) <= 0xa9)) return 0;
  return length;
}

std::string escape(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const char c = text.front();
    if (c == '\n' || c == '\t') {
      out += keep_lines ? c : ' ';
      text.remove_prefix(1);
    } else if (const std::size_t n = sequence_length(text); n != 0) {
      out += text.substr(0, n);
      text.remove_prefix(n);
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return escape(text, true); }
std::string one_line(std::string_view text) { return escape(text, false); }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string align(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width_of(row[i]), ' ');
      const bool to_right = i < right.size() && right[i];
      line += (i == 0 ? "" : "  ") + (to_right ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string format_seconds(double seconds) {
  if (seconds >= 100) return format_duration(seconds);
  return fmt::format("{:.{}f} s", seconds, seconds < 1 ? 2 : 1);
}

std::string format_tightness(double tightness) { return tightness == 0 ? "-" : fmt::format("{:.2g}", tightness); }

}  // namespace dsv4
