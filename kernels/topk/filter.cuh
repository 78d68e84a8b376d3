/// Finds the few scores of a long row that can be among its k largest, so that several blocks can share the row.
///
/// Every block of a row computes the same bound from the same sample of the row. It compares the scores of its part
/// with the bound, and writes those that reach it to global memory. So no block needs to know what the others found.
/// Afterwards, one block selects from all entries that were written (select_rows.cuh). It must check that there are at
/// least k of them, and that they fit in its list. If not, the sample was misleading, and the entries must not be used.
#pragma once

#include <cstdint>

#include "kernels/topk/select.cuh"

namespace dsv4::topk {

/// A row's sample has one of every 64 scores, but not fewer or more than these limits. It consists of groups of
/// neighbours, so that more of each memory transaction is used. The groups are spread evenly over the row.
constexpr int kSampleSpacing = 64;
constexpr int kSampleGroup = 4;
constexpr int kLeastGroupBits = 9;  ///< logarithm of the number of groups
constexpr int kMostGroupBits = 11;
static_assert((kSampleGroup << kMostGroupBits) <= 2 * kListCapacity);

/// Returns a bound that at least K scores of a row reach, and at most as many as a list takes. This is likely, but not
/// certain. The row has `length` scores, at least 8 per group. All threads of the block must call it, after the
/// constructor of a Selection.
///
/// The bound is the r-th largest score of the sample. If one of every q scores is sampled, about q * r scores reach it.
/// The sample has m = K / q of the K largest scores on average, with a standard deviation of about sqrt(m). Because
/// r >= m + 6 sqrt(m) + 8, fewer than K scores reach the bound very seldom, also if neighbours have similar scores.
/// Rows of more than a million scores have a sample that is too small for this: q * r exceeds the list more and more
/// often.
template <int K>
DSV4_DEVICE Entry bound_of_row(SelectMemory<K>& memory, const float* row, int length) {
  int group_bits = kLeastGroupBits;
  while (group_bits < kMostGroupBits && length > (kSampleSpacing * kSampleGroup) << group_bits) ++group_bits;
  const unsigned groups = 1u << group_bits;
  const auto begin_of_group = [&](unsigned group) DSV4_INLINE {
    return static_cast<std::uint32_t>(std::uint64_t{group} * static_cast<unsigned>(length - (kSampleGroup - 1)) >>
                                      group_bits);
  };
  for (unsigned group = threadIdx.x; group < groups; group += kThreads) {
    const float* const scores = row + begin_of_group(group);
    Pack<std::uint32_t, kSampleGroup, true> keys;
#pragma unroll
    for (int i = 0; i < kSampleGroup; ++i) keys.v[i] = key_of_score(scores[i]);
    keys.store(memory.sample + group * kSampleGroup);
  }
  __syncthreads();

  const unsigned samples = groups * kSampleGroup;
  const auto sample = [&](auto&& visitor) DSV4_INLINE {
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < samples; i += kThreads) {
      visitor(make_entry(memory.sample[i], begin_of_group(i / kSampleGroup) + i % kSampleGroup));
    }
  };
  const float share = static_cast<float>(samples) / static_cast<float>(length);
  const float mean = K * share;
  const auto need = static_cast<std::uint32_t>(mean + 6.0f * sqrtf(mean) + 8.0f);
  // A higher rank is found with fewer steps. It is allowed as long as the entries probably fit in the list.
  const auto most = static_cast<std::uint32_t>(0.6f * kListCapacity * share);
  return bound_of_largest(memory, sample, Entry{0}, need, most > need ? most : need);
}

/// Writes the entries of a part that can be among the K largest of its row, in any order, to `out`, which has room for
/// kListCapacity entries. Then writes their number to out[kListCapacity], also if not all of them had room. The part
/// begins at position `begin` of the row and has `part_length` scores. All threads of the block must call it, after the
/// constructor of a Selection.
template <int K>
DSV4_DEVICE void filter_part(SelectMemory<K>& memory, const float* row, int length, int begin, int part_length,
                             Entry* out) {
  const Entry bound = bound_of_row(memory, row, length);
  const float* const part = row + begin;
  // The warps need not wait for each other, so some load while others compare.
  for (int offset = first_offset(part); offset < part_length; offset += ScoreChunk::kEntries) {
    ScoreChunk chunk;
    chunk.load(part, offset, part_length, begin);
    for (std::uint32_t left = chunk.candidates(bound); left != 0; left &= left - 1) {
      // Candidates are few. So a candidate is read again, because its number is not known at compile time.
      const std::uint32_t index = chunk.index(__ffs(static_cast<int>(left)) - 1);
      const Entry entry = make_entry(key_of_score(row[index]), index);
      if (entry < bound) continue;
      const std::uint32_t position = atomicAdd(&memory.cursor, 1u);
      if (position < kListCapacity) out[position] = entry;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) out[kListCapacity] = memory.cursor;
}

}  // namespace dsv4::topk
