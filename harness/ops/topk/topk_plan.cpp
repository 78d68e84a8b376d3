#include "harness/ops/topk/topk_plan.h"

#include <algorithm>
#include <cstddef>

namespace dsv4 {
namespace {

constexpr std::uint8_t kNoMeaning = 0xA5;

std::int64_t longer_than(const std::vector<std::int64_t>& lengths, std::int64_t threshold) {
  return std::ranges::count_if(lengths, [threshold](std::int64_t n) { return n > threshold; });
}

}  // namespace

HostTensor make_topk_plan(const std::vector<std::int64_t>& lengths, std::int64_t threshold) {
  const std::int64_t rows = std::ssize(lengths);
  HostTensor plan = HostTensor::make(DType::kI32, {rows + 1, kPlanInts});
  std::ranges::fill(plan.storage, kNoMeaning);
  if (rows <= kMostUnplanned) return plan;
  threshold = plans::topk_threshold(lengths, threshold);
  const std::int64_t items = longer_than(lengths, threshold);
  const std::int64_t header[] = {threshold, items, 0, 0};
  for (std::int64_t j = 0; j < kPlanInts; ++j) plan.at<std::int32_t>(0, j) = static_cast<std::int32_t>(header[j]);
  std::int64_t entry = 0;
  const auto add = [&](std::int64_t row, std::int64_t length) {
    ++entry;
    plan.at<std::int32_t>(entry, 0) = static_cast<std::int32_t>(row);
    plan.at<std::int32_t>(entry, 1) = static_cast<std::int32_t>(length);
    reinterpret_cast<std::uint8_t*>(&plan.at<std::int32_t>(entry, 2))[0] = entry + kMostUnplanned <= items ? 1 : 0;
  };
  for (std::int64_t row = 0; row < rows; ++row) {
    if (lengths[static_cast<std::size_t>(row)] > threshold) add(row, lengths[static_cast<std::size_t>(row)]);
  }
  while (entry < kMostUnplanned) add(0, 0);
  return plan;
}

std::int64_t written_entries(const HostTensor& plan) {
  if (plan.size(0) <= kMostUnplanned + 1) return 0;
  const std::int64_t items = std::clamp<std::int64_t>(plan.at<std::int32_t>(0, 1), 0, plan.size(0) - 1);
  return 1 + std::max(items, kMostUnplanned);
}

}  // namespace dsv4
