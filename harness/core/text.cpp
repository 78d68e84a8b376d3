#include "harness/core/text.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <numeric>

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
  if (lead == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe) return 0;  // not characters
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

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string printable(std::string_view text) { return escape(text, true); }
std::string one_line(std::string_view text) { return escape(text, false); }

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  return fmt::format("{}... ({} characters)", text.substr(0, most), text.size());
}

std::string describe_errno(int number) {
  std::string text = std::strerror(number);
  if (number == EFBIG) return text + " (the limit on the size of files, 'ulimit -f', or that of the file system)";
  if (number == EMFILE) return text + " (the limit on open files, 'ulimit -n')";
  if (number == EAGAIN) return text + " (perhaps the limit on processes, 'ulimit -u')";
  return text;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const auto end = text.find(separator);
    if (const auto part = text.substr(0, end); !part.empty()) parts.emplace_back(part);
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

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

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out, line;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const bool begins = line.find_first_not_of(' ') == std::string::npos;
    if (!begins && width_of(line) + 1 + width_of(word) > width) {
      out += line + "\n";
      line = std::string(indent, ' ') + std::string(word);
    } else {
      line += (begins ? "" : " ") + std::string(word);
    }
  }
  return out + line;
}

std::string count_of(std::size_t n, std::string_view singular, std::string_view plural) {
  if (n == 1) return fmt::format("1 {}", singular);
  return plural.empty() ? fmt::format("{} {}s", n, singular) : fmt::format("{} {}", n, plural);
}

std::string format_seconds(double seconds) {
  if (seconds >= 100) return format_duration(seconds);
  return fmt::format("{:.{}f} s", seconds, seconds < 1 ? 2 : 1);
}

std::string format_tightness(double tightness) { return tightness == 0 ? "-" : fmt::format("{:.2g}", tightness); }

std::string format_duration(double seconds) {
  const auto s = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

bool glob_match(const std::string& glob, const std::string& text) {
  return ::fnmatch(glob.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
}

bool any_glob_match(const std::vector<std::string>& globs, const std::string& text) {
  return std::ranges::any_of(globs, [&](const std::string& glob) { return glob_match(glob, text); });
}

bool is_glob(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return "";
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? "" : fmt::format(", did you mean '{}'?", best);
}

}  // namespace dsv4
