#include "harness/ops/topk/topk_v2_paths.h"

#include <algorithm>
#include <cmath>

#include "harness/ops/topk/selection.h"
#include "harness/ops/topk/topk_plan.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kOneRegisterPass = 16384;
constexpr std::int64_t kTwoRegisterPasses = 32768;

}  // namespace

TopKPath path_of(const Call& call, std::int64_t row) {
  const HostTensor& plan = call.tensor("metadata");
  const std::int64_t n = std::ssize(scores_of(call, row));
  if (n <= call.tensor("page_indices").size(1)) return TopKPath::kTrivial;
  if (n <= kOneRegisterPass) return TopKPath::kRegister;
  if (call.tensor("scores").size(0) <= kMostUnplanned || written_entries(plan) == 0) return TopKPath::kCluster;
  if (n <= kTwoRegisterPasses) return TopKPath::kRegister;
  return n <= static_cast<std::uint32_t>(plan.at<std::int32_t>(0, 0)) ? TopKPath::kStreaming : TopKPath::kCluster;
}

int bin_bits(TopKPath path) { return path == TopKPath::kCluster ? 10 : 12; }

std::map<std::string, std::vector<std::int64_t>> row_facts(const Call& call) {
  const std::int64_t k = call.tensor("page_indices").size(1);
  std::map<std::string, std::vector<std::int64_t>> facts{{"tie_bin", {}}, {"register_nans", {}}};
  for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) {
    const auto scores = scores_of(call, row);
    const TopKPath path = path_of(call, row);
    const bool selects = path != TopKPath::kTrivial;
    const std::int64_t nans = std::ranges::count_if(scores, [](float x) { return std::isnan(x); });
    facts["tie_bin"].push_back(selects ? threshold_bin(scores, k, bin_bits(path)).population : 0);
    facts["register_nans"].push_back(path == TopKPath::kRegister ? std::max<std::int64_t>(nans - k, 0) : 0);
  }
  return facts;
}

}  // namespace dsv4
