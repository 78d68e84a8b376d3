/// The threshold of a plan of topk_v2: rows that are longer go to clusters of blocks. Upstream's kernel alone states it
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/topk_v2.cuh; "line" means a line of this file).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace dsv4::plans {

/// Clusters that run at a time; also the most rows that get no plan (lines 46, 376).
inline constexpr std::int64_t kTopkClusters = 15;

/// A threshold, and the most rows that may be longer.
struct TopkStep {
  std::int64_t threshold;
  std::int64_t most_rows;
};

/// Of the choice of the threshold, ascending (lines 139-148).
inline constexpr std::array<TopkStep, 8> kTopkSteps{
    {{32768, 30}, {40960, 45}, {49152, 45}, {65536, 60}, {98304, 60}, {131072, 75}, {196608, 90}, {262144, 105}}};

/// Returns the threshold for rows of these lengths. `given` is the caller's, at least that of the first step; 0: it
/// follows from the lengths (lines 164-199). With as many rows as the first step allows, or fewer, it is that of the
/// first step. With more rows, it is the lowest one such that neither it nor any higher one has too many longer rows.
/// If even the highest one has too many, it is the highest one.
inline std::int64_t topk_threshold(const std::vector<std::int64_t>& lengths, std::int64_t given) {
  const std::int64_t lowest = kTopkSteps.front().threshold;
  if (given != 0) return std::max(given, lowest);
  if (static_cast<std::int64_t>(lengths.size()) <= kTopkSteps.front().most_rows) return lowest;
  std::int64_t chosen = kTopkSteps.back().threshold;
  for (auto step = kTopkSteps.rbegin(); step != kTopkSteps.rend(); ++step) {
    const auto longer = std::count_if(lengths.begin(), lengths.end(), [&](auto n) { return n > step->threshold; });
    if (longer > step->most_rows) break;
    chosen = step->threshold;
  }
  return chosen;
}

}  // namespace dsv4::plans
