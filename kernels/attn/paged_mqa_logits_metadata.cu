/// paged_mqa_logits_metadata: divides the work of a batch's attention scores evenly among the multiprocessors.
///
///     run(seq_lens, metadata)
///
/// | argument | shape           | dtype | |
/// |----------|-----------------|-------|-|
/// | seq_lens | [B]             | int32 | contiguous; tokens of each row. A negative length counts as 0 |
/// | metadata | [shares + 1, 2] | int32 | contiguous, out; shares >= 1 |
///
/// A row has ceil(length / 256) splits. The splits of all rows, row after row, are numbered from 0. Let G be their
/// number. Share i begins at split i * (G / shares) + min(i, G mod shares), so the first shares are one split longer.
/// Entry i has the row of this split, and the split's number in the row. An entry that begins at split G is (B, 0).
///
/// Only the latency of one block matters. First the block adds up the splits. Then it takes the rows in chunks, and
/// makes the prefix sums of a chunk in shared memory. Each thread looks for its shares in the chunk by bisection. So a
/// long row or many rows cost no serial walk. Sums have 64 bits: 512 rows of 2^31 - 1 tokens have 2^32 splits.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / static_cast<int>(kWarpLanes);
constexpr int kRowsOfThread = 4;
constexpr int kChunk = kThreads * kRowsOfThread;
constexpr int kSplitTokens = 256;

using Count = unsigned long long;

struct MetadataParams {
  const std::int32_t* lengths;
  std::int32_t* entries;
  std::int64_t rows;
  std::int64_t shares;
};

DSV4_DEVICE Count splits_of(std::int32_t length) {
  return length <= 0 ? 0 : (static_cast<Count>(length) + kSplitTokens - 1) / kSplitTokens;
}

/// Returns the sum of the values of all threads before this one. `total` gets the sum over all threads. No thread may
/// still be reading `warp_sums` when the call begins.
DSV4_DEVICE Count sum_before(Count value, Count* warp_sums, Count& total) {
  const unsigned lane = threadIdx.x % kWarpLanes, warp = threadIdx.x / kWarpLanes;
  Count sum = value;
#pragma unroll
  for (unsigned offset = 1; offset < kWarpLanes; offset *= 2) {
    const Count other = __shfl_up_sync(kAllLanes, sum, offset);
    if (lane >= offset) sum += other;
  }
  if (lane == kWarpLanes - 1) warp_sums[warp] = sum;
  __syncthreads();
  Count before = 0;
  total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < static_cast<int>(warp)) before += warp_sums[w];
    total += warp_sums[w];
  }
  return before + sum - value;
}

__global__ void __launch_bounds__(kThreads) metadata_kernel(const __grid_constant__ MetadataParams p) {
  __shared__ Count ends[kChunk];  ///< for each row of the chunk: the number of splits up to its last one
  __shared__ Count warp_sums[kWarps];
  wait_for_previous_kernel();

  Count own = 0, splits = 0;
  for (std::int64_t row = threadIdx.x; row < p.rows; row += kThreads) own += splits_of(p.lengths[row]);
  (void)sum_before(own, warp_sums, splits);
  const auto shares = static_cast<Count>(p.shares);
  const Count size = splits / shares, longer = splits % shares;
  const auto first_split = [&](Count share) { return share * size + (share < longer ? share : longer); };

  for (Count i = threadIdx.x; i <= shares; i += kThreads) {
    if (first_split(i) < splits) continue;
    p.entries[2 * i] = static_cast<std::int32_t>(p.rows);
    p.entries[2 * i + 1] = 0;
  }

  Count before = 0;  // splits of the rows before the chunk
  for (std::int64_t first = 0; first < p.rows; first += kChunk) {
    __syncthreads();  // the shared memory is no longer in use
    const std::int64_t mine = first + threadIdx.x * kRowsOfThread;
    Count counts[kRowsOfThread], sum = 0, in_chunk = 0;
#pragma unroll
    for (int j = 0; j < kRowsOfThread; ++j) {
      counts[j] = mine + j < p.rows ? splits_of(p.lengths[mine + j]) : 0;
      sum += counts[j];
    }
    Count end = before + sum_before(sum, warp_sums, in_chunk);
#pragma unroll
    for (int j = 0; j < kRowsOfThread; ++j) {
      end += counts[j];
      ends[threadIdx.x * kRowsOfThread + j] = end;
    }
    __syncthreads();
    for (Count i = threadIdx.x; i < shares; i += kThreads) {
      const Count split = first_split(i);
      if (split < before || split >= before + in_chunk) continue;
      int low = 0, high = kChunk - 1;  // the row is the first one that ends after the split
      while (low < high) {
        const int middle = (low + high) / 2;
        if (ends[middle] > split) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      p.entries[2 * i] = static_cast<std::int32_t>(first + low);
      p.entries[2 * i + 1] = static_cast<std::int32_t>(split - (low == 0 ? before : ends[low - 1]));
    }
    before += in_chunk;
  }
}

void run(TensorView seq_lens, TensorView metadata) {
  ArgumentCheck check("paged_mqa_logits_metadata");
  Size rows("rows"), entries("entries");
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({rows}).on_cuda().contiguous();
  check.tensor("metadata", metadata).dtype({kInt32}).shape({entries, 2}).on_cuda().contiguous();
  check.require(entries.value() >= 2, "metadata", "expected an entry for each multiprocessor and one more, got ",
                entries.value());
  check.require(rows.value() <= 0x7FFFFFFF, "seq_lens", "at most 2^31 - 1 rows are supported");
  const MetadataParams params{.lengths = data_of<const std::int32_t>(seq_lens),
                              .entries = data_of<std::int32_t>(metadata),
                              .rows = rows.value(),
                              .shares = entries.value() - 1};
  Launch{.name = "paged_mqa_logits_metadata", .device = check.device(), .grid = dim3(1), .block = dim3(kThreads)}(
      metadata_kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run, dsv4::run, "paged_mqa_logits_metadata", "paged_mqa_logits_metadata/1", "");
