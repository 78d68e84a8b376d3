/// Makes the two plans of a batch on the device. Each thread fills one row of each plan.
///
/// The rows of a plan are in token order. Every block adds up how many rows the requests need. It does this tile by
/// tile; a tile has one request for each thread of the block. If the row of a thread belongs to a request of the tile,
/// the thread finds the request of the row by bisection, and the token by a formula. So the order is the same in every
/// run, for any number of requests, with one launch and without atomics. For all values of the lengths, no row beyond
/// the end of a plan is written.
#pragma once

#include "kernels/compress/batch_sets.cuh"

namespace dsv4 {

/// The lengths of a batch in device memory, and the rule that decides which tokens are kept.
struct PlanBatch {
  const std::int64_t* seq_lens;     ///< [requests]
  const std::int64_t* extend_lens;  ///< [requests]
  std::int32_t requests;
  std::uint32_t query_tokens;  ///< number of rows of the batch; later tokens get no plan entry
  SetRule rule;

  DSV4_DEVICE RequestSets sets(std::int32_t request) const {
    return request_sets(rule, seq_lens[request], extend_lens[request]);
  }
};

/// A token that a plan row names.
struct PlanToken {
  std::int32_t request;
  std::int32_t position;
  std::uint32_t ragged;
  std::int32_t window_before_batch;
};

/// Numbers of rows that one or more requests need. They have 64 bits, because lengths on the device are not checked and
/// may be large.
struct RowCounts {
  unsigned long long entries = 0;
  unsigned long long kept = 0;
  unsigned long long tokens = 0;

  DSV4_DEVICE void add(const RowCounts& other) {
    entries += other.entries;
    kept += other.kept;
    tokens += other.tokens;
  }
};

/// Returns the sum of the counts of this thread and all threads before it in the block. `warp_sums` may be written
/// again after the next barrier.
template <int kThreads>
DSV4_DEVICE RowCounts block_inclusive_sum(RowCounts sum, RowCounts* warp_sums) {
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  const int warp = static_cast<int>(threadIdx.x / kWarpLanes);
#pragma unroll
  for (int offset = 1; offset < static_cast<int>(kWarpLanes); offset *= 2) {
    const RowCounts below{__shfl_up_sync(kAllLanes, sum.entries, offset), __shfl_up_sync(kAllLanes, sum.kept, offset),
                          __shfl_up_sync(kAllLanes, sum.tokens, offset)};
    if (lane >= offset) sum.add(below);
  }
  if (lane == static_cast<int>(kWarpLanes) - 1) warp_sums[warp] = sum;
  __syncthreads();
  for (int w = 0; w < warp; ++w) sum.add(warp_sums[w]);
  return sum;
}

/// Fills row `row` of both plans. All threads of the block must call it. A Writer has the sizes of the plans,
/// `entry_rows` and `kept_rows`. It also has four functions that write a row: `entry(row, token)`, `no_entry(row)`,
/// `kept(row, token)` and `not_kept(row)`.
template <int kThreads, class Writer>
DSV4_DEVICE void fill_plan_row(const PlanBatch& batch, std::uint32_t row, const Writer& writer) {
  __shared__ RowCounts warp_sums[kThreads / kWarpLanes];
  __shared__ RowCounts ends[kThreads];  // [i]: rows needed by all requests up to request i of the tile, included
  bool entry_open = row < writer.entry_rows;
  bool kept_open = row < writer.kept_rows;
  RowCounts before;  // rows needed by the requests of the earlier tiles

  for (std::int32_t tile = 0; tile < batch.requests; tile += kThreads) {
    RowCounts own;
    if (tile + static_cast<std::int32_t>(threadIdx.x) < batch.requests) {
      const RequestSets sets = batch.sets(tile + static_cast<std::int32_t>(threadIdx.x));
      own.entries = static_cast<unsigned long long>(sets.entries);
      own.kept = static_cast<unsigned long long>(sets.kept);
      own.tokens = static_cast<unsigned long long>(sets.tokens);
    }
    RowCounts end = block_inclusive_sum<kThreads>(own, warp_sums);
    end.add(before);
    ends[threadIdx.x] = end;
    __syncthreads();

    // Returns the token of this row. `count` selects the plan, and the row must belong to a request of the tile.
    // `position_of(sets, k)` gives the position of a request's k-th token in that plan.
    const auto token_of = [&](auto count, auto position_of) {
      int found = 0;  // first request of the tile whose entry in `ends` is above the row
      for (int high = kThreads - 1; found < high;) {
        const int middle = (found + high) / 2;
        if (ends[middle].*count > row) {
          high = middle;
        } else {
          found = middle + 1;
        }
      }
      const RowCounts start = found == 0 ? before : ends[found - 1];
      const RequestSets sets = batch.sets(tile + found);
      const std::int32_t position = position_of(sets, static_cast<std::int32_t>(row - start.*count));
      const unsigned long long ragged =
          start.tokens + static_cast<unsigned long long>(std::int64_t{position} - sets.prefix);
      return PlanToken{tile + found, position,
                       ragged < batch.query_tokens ? static_cast<std::uint32_t>(ragged) : batch.query_tokens,
                       sets.window_before_batch(position)};
    };
    const RowCounts last = ends[kThreads - 1];
    if (entry_open && row < last.entries) {
      entry_open = false;
      const PlanToken token =
          token_of(&RowCounts::entries, [](const RequestSets& sets, std::int32_t k) { return sets.entry_position(k); });
      if (token.ragged < batch.query_tokens) {
        writer.entry(row, token);
      } else {
        writer.no_entry(row);
      }
    }
    if (kept_open && row < last.kept) {
      kept_open = false;
      const PlanToken token =
          token_of(&RowCounts::kept, [](const RequestSets& sets, std::int32_t k) { return sets.kept_position(k); });
      if (token.ragged < batch.query_tokens) {
        writer.kept(row, token);
      } else {
        writer.not_kept(row);
      }
    }
    before = last;  // `ends` is written again only after the barrier in the next sum, when all threads have read it
  }
  if (entry_open) writer.no_entry(row);
  if (kept_open) writer.not_kept(row);
}

}  // namespace dsv4
