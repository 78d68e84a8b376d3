#include "harness/drift/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

/// A line of a histogram: its label, and the number of elements of both sets.
struct Bar {
  std::string label;
  std::int64_t a = 0;
  std::int64_t b = 0;
};

constexpr std::int64_t kFarUlp = 64;  ///< from here on, all distances are one line

std::string ulp_label(std::int64_t bucket) {
  if (bucket == kFarUlp) return fmt::format(">= {}", kFarUlp);
  if (bucket == -kFarUlp) return fmt::format("<= -{}", kFarUlp);
  if (bucket <= 1 && bucket >= -1) return fmt::format("{}", bucket);
  return bucket > 0 ? fmt::format("{} to {}", bucket, 2 * bucket - 1) : fmt::format("{} to {}", 2 * bucket + 1, bucket);
}

std::vector<Bar> ulp_bars(const OutputDrift& o) {
  std::map<std::int64_t, Bar> bars;
  const auto add = [&](const std::map<std::int64_t, std::int64_t>& counts, std::int64_t Bar::*side) {
    for (const auto& [bucket, n] : counts) bars[std::clamp(bucket, -kFarUlp, kFarUlp)].*side += n;
  };
  add(o.a.ulp, &Bar::a);
  add(o.b.ulp, &Bar::b);
  std::vector<Bar> list;
  for (auto& [bucket, bar] : bars) {
    bar.label = ulp_label(bucket);
    list.push_back(bar);
  }
  return list;
}

std::vector<Bar> share_bars(const OutputDrift& o) {
  std::vector<Bar> list;
  for (std::size_t i = 0; i <= ErrorStatistics::kShares; ++i) {
    const double width = 1.0 / ErrorStatistics::kShares;
    const auto at = static_cast<double>(i);
    list.push_back(
        {i == ErrorStatistics::kShares ? "above 1" : fmt::format("{:.2f} to {:.2f}", at * width, (at + 1) * width),
         o.a.share.at(i), o.b.share.at(i)});
  }
  while (list.size() > 1 && list.back().a == 0 && list.back().b == 0) list.pop_back();
  return list;
}

double share_of_all(std::int64_t n, std::int64_t total) {
  return static_cast<double>(n) / static_cast<double>(std::max<std::int64_t>(total, 1));
}

/// A bar and its share. `most` is the largest share, which fills the width. An element that is there shows at least as
/// a dot.
std::string bar(std::int64_t n, std::int64_t total, double most, std::size_t width) {
  const double share = share_of_all(n, total);
  const auto full = static_cast<std::size_t>(std::lround(share / most * static_cast<double>(width)));
  std::string text = full != 0 ? std::string(full, '#') : n != 0 ? "." : "";
  text.resize(width, ' ');
  return text + (n == 0 ? "       " : fmt::format(" {:5.1f}%", 100 * share));
}

std::string drawn(const std::string& heading, const std::vector<Bar>& bars, const PairDrift& pair,
                  std::size_t columns) {
  std::int64_t total_a = 0, total_b = 0;
  std::size_t label = width_of(heading);
  for (const Bar& b : bars) {
    total_a += b.a;
    total_b += b.b;
    label = std::max(label, width_of(b.label));
  }
  if (total_a + total_b == 0) return "";
  double most = 0;
  for (const Bar& b : bars) most = std::max({most, share_of_all(b.a, total_a), share_of_all(b.b, total_b)});
  // Two spaces before each of three columns, and seven characters for each percentage.
  const std::size_t used = label + 6 + 14;
  const std::size_t width = std::max<std::size_t>(8, columns > used ? (columns - used) / 2 : 0);
  const auto name = [&](const std::string& set) {
    const std::string text = end_of(set, width + 7);
    return text + std::string(width + 7 - std::min(width + 7, width_of(text)), ' ');
  };
  const auto line = [&](const std::string& first, const std::string& a, const std::string& b) {
    std::string text = fmt::format("  {}{}  {}  {}", std::string(label - width_of(first), ' '), first, a, b);
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line(heading, name(pair.a), name(pair.b));
  for (const Bar& b : bars) text += line(b.label, bar(b.a, total_a, most, width), bar(b.b, total_b, most, width));
  return text;
}

}  // namespace

std::string end_of(const std::string& set, std::size_t width) {
  std::string text = one_line(set);
  if (width_of(text) <= width) return text;
  std::size_t from = text.size() - std::min(text.size(), width - 3);
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0u) == 0x80u) ++from;  // inside a character
  return "..." + text.substr(from);
}

std::string histograms(const PairDrift& pair, const OutputDrift& output, const Layout& layout) {
  return drawn("ulp", ulp_bars(output), pair, layout.width) +
         drawn("|error|/bound", share_bars(output), pair, layout.width);
}

}  // namespace dsv4
