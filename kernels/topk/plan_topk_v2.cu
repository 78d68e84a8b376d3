/// plan_topk_v2: lists the rows of a batch that are so long that topk_v2 gives each of them to a cluster of blocks.
///
///     topk_plan(seq_lens, metadata, static_cluster_threshold)
///
/// | argument                 | shape      | dtype | |
/// |--------------------------|------------|-------|-|
/// | seq_lens                 | [B]        | int32 | contiguous; a negative length counts as 0 |
/// | metadata                 | [B + 1, 4] | int32 | contiguous, out |
/// | static_cluster_threshold | scalar     |       | 0, or the threshold; less than 2^32 |
///
/// If B <= 15, nothing is written, because topk_v2 does not read the plan of so few rows. Otherwise let T be the
/// threshold and N the number of rows that are longer than T. Entry 0 is (T, N, 0, 0). Entry 1 + i is (row, length, c,
/// 0) for the i-th of these rows, in the order of the batch. c is 1 if the plan has an item i + 15, which the same
/// cluster takes next. Entries from 1 + N up to 15 are 0. Later entries are not written.
///
/// T is at least 32768. It is the given threshold, or, for 0, it follows from the lengths: with up to 30 rows it is
/// 32768. With more rows, each step of a table names a length and the most rows that may be longer. From the last step
/// down, T is the length of the last step before the first one that has too many longer rows. If the last step already
/// has too many, T is 262144.
///
/// One block does the work; only its latency matters.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4::topk {
namespace {

constexpr int kMostThreads = 1024;
constexpr int kLeastThreads = 128;
constexpr int kMostWarps = kMostThreads / static_cast<int>(kWarpLanes);
constexpr int kRows = 4;  ///< consecutive rows of a thread
constexpr int kSteps = 8;
constexpr unsigned kLeastThreshold = 32768;
constexpr unsigned kMostThreshold = 262144;
constexpr std::int64_t kClusters = 15;  ///< also the most rows for which there is no plan
constexpr std::int64_t kFewRows = 30;   ///< the most rows for which the threshold is always the least one

struct PlanParams {
  const std::int32_t* lengths;
  uint4* entries;
  std::int64_t rows;
  unsigned threshold;  ///< 0: it follows from the lengths
};

DSV4_DEVICE unsigned length_of(const PlanParams& p, std::int64_t row) {
  const std::int32_t length = p.lengths[row];
  return length < 0 ? 0 : static_cast<unsigned>(length);
}

/// Returns the length of step `step`, and the most rows that may be longer.
DSV4_DEVICE uint2 step_of(int step) {
  constexpr unsigned kLengths[kSteps] = {kLeastThreshold, 40960, 49152, 65536, 98304, 131072, 196608, kMostThreshold};
  constexpr unsigned kMostRows[kSteps] = {30, 45, 45, 60, 60, 75, 90, 105};
  return make_uint2(kLengths[step], kMostRows[step]);
}

/// The lengths of the consecutive rows of a thread, the first of which is `row`; 0 beyond the last row.
DSV4_DEVICE void lengths_from(const PlanParams& p, std::int64_t row, unsigned (&lengths)[kRows]) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) lengths[i] = row + i < p.rows ? length_of(p, row + i) : 0;
}

/// Returns the threshold that follows from the lengths. `first` has those of the thread's first rows. `longer` has one
/// counter for each step.
DSV4_DEVICE unsigned threshold_of(const PlanParams& p, const unsigned (&first)[kRows], unsigned* longer) {
  if (threadIdx.x < kSteps) longer[threadIdx.x] = 0;
  __syncthreads();
  unsigned counts[kSteps] = {};
  const auto count = [&](const unsigned(&lengths)[kRows]) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) counts[step] += lengths[i] > step_of(step).x ? 1 : 0;
    }
  };
  count(first);
  const std::int64_t chunk = std::int64_t{kRows} * blockDim.x;
  for (std::int64_t base = chunk; base < p.rows; base += chunk) {
    unsigned lengths[kRows];
    lengths_from(p, base + std::int64_t{kRows} * threadIdx.x, lengths);
    count(lengths);
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const unsigned sum = __reduce_add_sync(kAllLanes, counts[step]);
    if (threadIdx.x % kWarpLanes == 0 && sum != 0) atomicAdd(&longer[step], sum);
  }
  __syncthreads();
  unsigned threshold = kMostThreshold;
#pragma unroll
  for (int step = kSteps; step-- > 0;) {
    if (longer[step] > step_of(step).y) break;
    threshold = step_of(step).x;
  }
  return threshold;
}

__global__ void __launch_bounds__(kMostThreads) plan_kernel(const __grid_constant__ PlanParams p) {
  __shared__ unsigned longer[kSteps];
  __shared__ unsigned items_of_warp[2][kMostWarps];  // of a chunk of rows; successive chunks take turns
  wait_for_previous_kernel();
  unsigned lengths[kRows];
  lengths_from(p, std::int64_t{kRows} * threadIdx.x, lengths);
  unsigned threshold = p.threshold != 0     ? p.threshold
                       : p.rows <= kFewRows ? kLeastThreshold
                                            : threshold_of(p, lengths, longer);
  threshold = threshold < kLeastThreshold ? kLeastThreshold : threshold;

  const unsigned lane = threadIdx.x % kWarpLanes, warp = threadIdx.x / kWarpLanes, warps = blockDim.x / kWarpLanes;
  unsigned items = 0;  // of the rows before this chunk
  int turn = 0;
  for (std::int64_t base = 0; base < p.rows; base += std::int64_t{kRows} * blockDim.x, turn ^= 1) {
    const std::int64_t row = base + std::int64_t{kRows} * threadIdx.x;
    if (base != 0) lengths_from(p, row, lengths);
    unsigned own = 0;
#pragma unroll
    for (int i = 0; i < kRows; ++i) own += lengths[i] > threshold ? 1 : 0;
    unsigned through = own;  // sum of `own` over this lane and all lower lanes
#pragma unroll
    for (unsigned offset = 1; offset < kWarpLanes; offset *= 2) {
      const unsigned lower = __shfl_up_sync(kAllLanes, through, offset);
      if (lane >= offset) through += lower;
    }
    if (lane == kWarpLanes - 1) items_of_warp[turn][warp] = through;
    __syncthreads();
    const unsigned of_warp = lane < warps ? items_of_warp[turn][lane] : 0;
    unsigned place = items + __reduce_add_sync(kAllLanes, lane < warp ? of_warp : 0) + through - own;
    items += __reduce_add_sync(kAllLanes, of_warp);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (lengths[i] > threshold) p.entries[1 + place++] = make_uint4(static_cast<unsigned>(row + i), lengths[i], 0, 0);
    }
  }
  __syncthreads();
  // Only now is it known whether an item has a next one.
  for (std::int64_t i = threadIdx.x; i + kClusters < items; i += blockDim.x) p.entries[1 + i].z = 1;
  if (threadIdx.x >= items && threadIdx.x < kClusters) p.entries[1 + threadIdx.x] = make_uint4(0, 0, 0, 0);
  if (threadIdx.x == 0) p.entries[0] = make_uint4(threshold, items, 0, 0);
}

void topk_plan(TensorView seq_lens, TensorView metadata, std::int64_t static_cluster_threshold) {
  ArgumentCheck check("plan_topk_v2");
  Size rows("rows"), entries("entries");
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({rows}).on_cuda().contiguous();
  check.tensor("metadata", metadata).dtype({kInt32}).shape({entries, 4}).on_cuda().contiguous().aligned(sizeof(uint4));
  check.require(entries.value() == rows.value() + 1, "metadata", "size ", entries.value(),
                " of dimension 0 must be the number of rows and one, ", rows.value() + 1);
  check.require(rows.value() <= 0x7FFFFFFF, "seq_lens", "at most 2^31 - 1 rows are supported, got ", rows.value());
  check.require(static_cluster_threshold >= 0 && static_cluster_threshold <= 0xFFFFFFFF, "static_cluster_threshold",
                "must be in [0, 2^32), got ", static_cluster_threshold);
  if (rows.value() <= kClusters) return;

  const PlanParams params{.lengths = data_of<const std::int32_t>(seq_lens),
                          .entries = data_of<uint4>(metadata),
                          .rows = rows.value(),
                          .threshold = static_cast<unsigned>(static_cluster_threshold)};
  const auto threads =
      std::clamp<std::int64_t>(ceil_div<std::int64_t>(rows.value(), kRows), kLeastThreads, kMostThreads);
  const auto warps = static_cast<unsigned>(ceil_div<std::int64_t>(threads, kWarpLanes));
  Launch{.name = "plan_topk_v2", .device = check.device(), .grid = dim3(1), .block = dim3(warps * kWarpLanes)}(
      plan_kernel, params);
}

}  // namespace
}  // namespace dsv4::topk

DSV4_ENTRY(topk_plan, dsv4::topk::topk_plan, "plan_topk_v2", "plan_topk_v2/1", "");
