#include "harness/ops/topk/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "harness/op/records.h"
#include "harness/ops/topk/score_order.h"

namespace dsv4 {
namespace {

constexpr std::int32_t kPadding = -1;          ///< the op writes it where a row has fewer than k positions
constexpr std::int32_t kInterchangeable = -2;  ///< canonical form of a position that ties with the k-th best score
constexpr std::size_t kMostFindings = 8;       ///< more findings of a broken row would repeat the first ones

using Positions = std::vector<std::int32_t>;

void report(Observation& o, const char* check, std::string detail) {
  if (o.findings.size() < kMostFindings) o.find(check, std::move(detail));
}

std::int32_t slot_of(const Call& call, std::int64_t row, std::int64_t position) {
  const std::int64_t page_size = integer_of(call, "page_size");
  const std::int64_t page = call.tensor("page_table").at<std::int32_t>(row, position / page_size);
  return static_cast<std::int32_t>(page * page_size + position % page_size);
}

/// The positions that one row selected, in output order. -1 stands for padding, and for a slot that belongs to no
/// position. If the call has the raw output, the positions are read from it. Otherwise they are computed from the
/// slots: the page table maps positions one to one, so it can be inverted.
Positions decode(const Call& call, const CallResult& result, std::int64_t row, std::int64_t n, Observation& o) {
  const HostTensor& slots = result.tensor("page_indices");
  const std::int64_t k = slots.size(1);
  const std::int64_t page_size = integer_of(call, "page_size");
  const bool has_raw = has_argument(call, "raw_indices") && call.arg("raw_indices").is_tensor();
  // Slots are 32-bit numbers that wrap, so a page is found by its first slot.
  const auto size = static_cast<std::uint32_t>(page_size);
  std::map<std::uint32_t, std::int64_t> index_of_page;
  for (std::int64_t i = 0; !has_raw && i * page_size < n; ++i) {
    index_of_page[static_cast<std::uint32_t>(call.tensor("page_table").at<std::int32_t>(row, i)) * size] = i;
  }
  Positions positions(static_cast<std::size_t>(k), kPadding);
  for (std::int64_t j = 0; j < k; ++j) {
    const std::int32_t slot = slots.at<std::int32_t>(row, j);
    std::int64_t position = kPadding;
    if (has_raw) {
      position = result.tensor("raw_indices").at<std::int32_t>(row, j);
    } else if (slot != kPadding) {
      const auto in_page = static_cast<std::uint32_t>(slot) % size;
      const auto page = index_of_page.find(static_cast<std::uint32_t>(slot) - in_page);
      position = page == index_of_page.end() ? n : page->second * page_size + in_page;
    }
    const bool padded = position == kPadding && slot == kPadding;
    const bool filled = position != kPadding && slot != kPadding;
    if (j >= n ? !padded : !filled) {
      report(o, "padding",
             fmt::format("row {} of length {}: place {} holds slot {}, position {}; expected {}", row, n, j, slot,
                         position, j >= n ? "-1" : "a position"));
    } else if (j < n && (position < 0 || position >= n)) {
      report(o, "range",
             fmt::format("row {}: slot {} at place {} stands for position {}, outside [0, {})", row, slot, j, position,
                         n));
    } else if (j < n) {
      if (slot != slot_of(call, row, position)) {
        report(o, "page_mapping",
               fmt::format("row {}: slot {} at place {} is wrong, because position {} has slot {}", row, slot, j,
                           position, slot_of(call, row, position)));
      }
      positions[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(position);
    }
  }
  return positions;
}

void check_distinct(Positions positions, std::int64_t row, Observation& o) {
  std::ranges::sort(positions);
  for (std::size_t j = 1; j < positions.size(); ++j) {
    if (positions[j] >= 0 && positions[j] == positions[j - 1]) {
      return report(o, "duplicate", fmt::format("row {}: position {} is selected twice", row, positions[j]));
    }
  }
}

/// Checks the selection by coarse bins. The bin of the k-th best score is the cut. All positions in bins above the cut
/// must be selected, and no position in a bin below it.
void check_bins(std::span<const float> scores, std::int64_t k, int bits, const Positions& positions, std::int64_t row,
                Observation& o) {
  const std::uint32_t cut = threshold_bin(scores, k, bits).bin;
  std::int64_t missing = 0;
  for (const float x : scores) missing += coarse_bin(x, bits) > cut ? 1 : 0;
  for (const std::int32_t p : positions) {
    if (p < 0) continue;
    const std::uint32_t bin = coarse_bin(scores[static_cast<std::size_t>(p)], bits);
    missing -= bin > cut ? 1 : 0;
    if (bin < cut) {
      return report(
          o, "coarse_bin",
          fmt::format("row {}: position {} is selected, although {} or more positions are in higher bins", row, p, k));
    }
  }
  if (missing != 0) {
    report(o, "coarse_bin",
           fmt::format("row {}: {} positions in bins above the bin of the k-th best score are missing", row, missing));
  }
}

/// Key of the k-th best score.
std::uint64_t cut_key(std::span<const float> scores, std::int64_t k) {
  std::vector<std::uint64_t> keys;
  keys.reserve(scores.size());
  for (const float x : scores) keys.push_back(rank_key(x));
  std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<>());
  return keys[static_cast<std::size_t>(k - 1)];
}

}  // namespace

void fill_row(Call& call, std::int64_t row, std::int64_t n, const Fills& fills, const std::string& fill,
              Random& random) {
  constexpr float kGarbage[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  HostTensor& scores = call.arg("scores").tensor();
  HostTensor& table = call.arg("page_table").tensor();
  fills.apply(fill, random, Elements(scores, row * scores.size(1), n));
  for (std::int64_t i = n; i < scores.size(1); ++i) scores.at<float>(row, i) = kGarbage[i % 2];
  const std::int64_t first_page = random.below(1 << 20);
  const auto order = random.permutation(table.size(1));
  for (std::int64_t i = 0; i < table.size(1); ++i)
    table.at<std::int32_t>(row, i) = static_cast<std::int32_t>(first_page + order[i]);
}

std::span<const float> scores_of(const Call& call, std::int64_t row) {
  const HostTensor& scores = call.tensor("scores");
  const std::int64_t length = call.tensor("seq_lens").at<std::int32_t>(row);
  const std::int64_t covered = call.tensor("page_table").size(1) * integer_of(call, "page_size");
  const auto n = static_cast<std::size_t>(
      std::clamp<std::int64_t>(length, 0, std::min(scores.size(1), std::max<std::int64_t>(covered, 0))));
  return n == 0 ? std::span<const float>{} : std::span<const float>(&scores.at<float>(row, 0), n);
}

ThresholdBin threshold_bin(std::span<const float> scores, std::int64_t k, int bits) {
  std::vector<std::int64_t> histogram(std::size_t{1} << bits);
  for (const float x : scores) ++histogram[coarse_bin(x, bits)];
  std::int64_t above = 0;
  for (std::uint32_t bin = 1u << bits; bin-- > 0;) {
    if (above + histogram[bin] >= k) return {bin, histogram[bin]};
    above += histogram[bin];
  }
  return {};
}

Observation observe_selection(const Call& call, const CallResult& result, const BinBits& bin_bits) {
  Observation o;
  const HostTensor& slots = result.tensor("page_indices");
  const std::int64_t k = slots.size(1);
  HostTensor canonical = HostTensor::make(DType::kI32, slots.shape);
  HostTensor selected_scores = HostTensor::make(DType::kF32, slots.shape);
  for (std::int64_t row = 0; row < slots.size(0); ++row) {
    const std::span<const float> scores = scores_of(call, row);
    Positions positions = decode(call, result, row, std::ssize(scores), o);
    check_distinct(positions, row, o);
    if (std::ssize(scores) > k) {
      check_bins(scores, k, bin_bits(row), positions, row, o);
      std::vector<std::pair<std::uint64_t, std::int32_t>> found;
      for (const std::int32_t p : positions) {
        if (p >= 0) found.emplace_back(rank_key(scores[static_cast<std::size_t>(p)]), p);
      }
      std::ranges::sort(found, std::greater<>());
      const std::uint64_t cut = cut_key(scores, k);
      Positions certain;
      for (std::size_t j = 0; j < found.size(); ++j) {
        selected_scores.at<float>(row, j) = scores[static_cast<std::size_t>(found[j].second)];
        if (found[j].first != cut) certain.push_back(found[j].second);
      }
      std::ranges::sort(certain);
      certain.resize(found.size(), kInterchangeable);
      certain.resize(positions.size(), kPadding);
      positions = std::move(certain);
    }
    for (std::int64_t j = 0; j < k; ++j) canonical.at<std::int32_t>(row, j) = positions[static_cast<std::size_t>(j)];
  }
  o.add("positions", std::move(canonical));
  o.add("scores", std::move(selected_scores));
  return o;
}

}  // namespace dsv4
