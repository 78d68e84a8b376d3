/// One thread block selects exactly the k largest entries of a stream. The amount of shared memory is fixed.
///
/// An entry has 64 bits. The upper half is the order key of a score (see key_of_bits). The lower half is the bitwise
/// complement of the score's index. So an entry is larger than another if its score is larger, or if the scores are
/// equal and its index is lower. All entries are different, so the set of the k largest is unique.
///
/// The block reads the stream in chunks that fill its registers. It keeps a list of the entries that may still be
/// among the k largest. It also keeps a bound. An entry below the bound cannot be one of the k largest. An entry that
/// is equal to the bound or larger "reaches" the bound. The entries of a chunk that reach the bound are appended to
/// the list.
///
/// If the list cannot take all of these entries, radix selection finds the k largest entries of list and chunk
/// together. Then only these k entries remain in the list, and the smallest of them becomes the bound. The first bound
/// is guessed from a sample of the first chunk. It is kept only if at least k entries reach it. The list is also
/// shortened like this after the last chunk. The same happens after the chunk for which the bound was guessed, if the
/// list would otherwise become nearly full.
///
/// So ordinary data costs one comparison per score and a few radix selections, most of them of a short list.
/// Adversarial data (ascending scores, clustered scores, ties) costs one radix selection per chunk. No buffer
/// can overflow.
#pragma once

#include <cstdint>

#include "kernels/common/device.h"

namespace dsv4::topk {

using Entry = std::uint64_t;

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kDigitBits = 11;
constexpr int kBins = 1 << kDigitBits;
constexpr int kBinsPerThread = kBins / kThreads;
/// The length is four times the largest k, and 768 more because the number of appended entries varies. SelectMemory
/// then has 47200 bytes, less than 48 KiB.
constexpr int kListCapacity = 4864;

/// Maps the bits of a score to its order key, unless the score is a NaN: the key follows the value of the score, with
/// -0 below +0. The key of -Inf is 0, and that of +Inf is 0xFF000001. The keys of NaNs are above these:
/// 0xFF000002...0xFF800000 for positive NaNs, the others for negative NaNs.
DSV4_DEVICE std::uint32_t key_of_bits(std::uint32_t bits) {
  const auto sign = static_cast<std::uint32_t>(static_cast<std::int32_t>(bits) >> 31);
  return (bits ^ (sign | 0x80000000u)) - 0x007FFFFFu;
}

/// Swaps the keys of positive NaNs with those of negative NaNs. Then positive NaNs are above negative NaNs. Among
/// positive NaNs, the key grows with the bits; among negative NaNs, it falls.
DSV4_DEVICE std::uint32_t with_nan_order(std::uint32_t key) {
  constexpr std::uint32_t kNans = 0x007FFFFFu;  // number of NaNs of one sign
  return key > 0xFF800000u ? key - kNans : key > 0xFF000001u ? key + kNans : key;
}

DSV4_DEVICE std::uint32_t key_of_score(float score) { return with_nan_order(key_of_bits(__float_as_uint(score))); }

/// Returns the score whose order key is `key`, or a NaN if the key is that of a NaN.
DSV4_DEVICE float score_of_key(std::uint32_t key) {
  const std::uint32_t bits = key + 0x007FFFFFu;
  const auto is_negative = static_cast<std::uint32_t>(static_cast<std::int32_t>(~bits) >> 31);
  return __uint_as_float(key > 0xFF000001u ? 0x7FC00000u : bits ^ (is_negative | 0x80000000u));
}

DSV4_DEVICE Entry make_entry(std::uint32_t key, std::uint32_t index) {
  return static_cast<Entry>(key) << 32 | static_cast<std::uint32_t>(~index);
}
DSV4_DEVICE std::uint32_t index_of(Entry entry) { return ~static_cast<std::uint32_t>(entry); }

/// A lambda that uses a chunk must be inlined. Otherwise the chunk could not stay in registers.
#define DSV4_INLINE __attribute__((always_inline))

/// The shared memory of a block that selects at most `K` entries.
template <int K>
struct SelectMemory {
  static_assert(K < kListCapacity);
  static_assert(sizeof(Entry) * K <= sizeof(std::uint32_t) * kBins);
  union {
    alignas(16) Entry list[kListCapacity];
    alignas(16) std::uint32_t sample[2 * kListCapacity];  ///< order keys of a row's sample, before the list is used
  };
  union {
    alignas(16) std::uint32_t histogram[kBins];  ///< all zero before each digit is counted
    alignas(16) Entry winners[K];  ///< holds the selected entries until they are copied to the list; then zeroed
  };
  std::uint32_t warp_total[kWarps];
  std::uint32_t cursor;
  std::uint32_t top_key;     ///< largest key of a call of `bound_of_largest`; 0 before each call
  std::uint32_t bottom_key;  ///< smallest key of the call; all bits are 1 before each call
  struct {
    std::uint32_t bin;
    std::uint32_t above;  ///< number of entries in higher bins
    std::uint32_t count;  ///< number of entries in this bin
  } pick;
};

/// Returns the `offset` of a part's first chunk for ScoreChunk::load: between -3 and 0.
DSV4_DEVICE int first_offset(const float* part) {
  return -static_cast<int>(reinterpret_cast<std::uintptr_t>(part) / sizeof(float) % 4);
}

/// A chunk of scores. Each thread of the block holds kPerThread of them in registers.
struct ScoreChunk {
  static constexpr int kPerThread = 16;
  static constexpr int kEntries = kThreads * kPerThread;

  std::uint32_t key[kPerThread];  ///< the bits of a score; after `convert`, its order key
  std::uint32_t valid;            ///< bit i is set if `key[i]` holds a score
  std::uint32_t first;            ///< index in the row of the score in `key[0]`

  /// Loads `kEntries` scores of a part of a row, beginning with score number `offset` of the part. The part has
  /// `length` scores, and its first score is at position `begin` of the row. The address `part + offset` must be
  /// aligned to 16 bytes. The part itself need not be, so the first `offset` is between -3 and 0. A thread loads
  /// groups of four scores. If a group crosses an end of the part, its scores are read one by one. Nothing outside the
  /// part is read.
  DSV4_DEVICE void load(const float* part, int offset, int length, std::uint32_t begin) {
    const float* const chunk = part + offset;
    const int low = offset < 0 ? -offset : 0;
    const int high = length - offset < kEntries ? length - offset : kEntries;
    first = begin + static_cast<std::uint32_t>(offset) + threadIdx.x * 4;
    valid = 0;
#pragma unroll
    for (int group = 0; group < kPerThread / 4; ++group) {
      const int at = (group * kThreads + static_cast<int>(threadIdx.x)) * 4;
      Pack<float, 4, true> four{};
      if (at >= low && at + 4 <= high) {
        four.load(chunk + at);
        valid |= 0xFu << (group * 4);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (at + i >= low && at + i < high) {
            four.v[i] = chunk[at + i];
            valid |= 1u << (group * 4 + i);
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) key[group * 4 + i] = __float_as_uint(four.v[i]);
    }
  }

  DSV4_DEVICE void clear() { valid = 0; }

  /// Bit i is set if score i may reach the bound: it is valid and is not less than the bound's score, or is a NaN. The
  /// order of entries has more cases, which would cost more for every score. To be called instead of `convert`.
  DSV4_DEVICE std::uint32_t candidates(Entry bound) const {
    const float least = score_of_key(static_cast<std::uint32_t>(bound >> 32));
    std::uint32_t found = 0;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) found |= !(__uint_as_float(key[i]) < least) ? 1u << i : 0u;
    return found & valid;
  }

  /// Turns the loaded scores into order keys. It is separate from `load`, because it waits for the loaded data. So a
  /// caller can load a chunk before it needs the scores. NaNs are rare, so their keys are put in order only if a thread
  /// holds one.
  DSV4_DEVICE void convert() {
    bool has_nan = false;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const float score = __uint_as_float(key[i]);
      has_nan = has_nan || score != score;
      key[i] = key_of_bits(key[i]);
    }
    if (!has_nan) return;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) key[i] = with_nan_order(key[i]);
  }

  /// Bit i is set if entry i is valid and reaches the bound. Entries with the bound's key reach it up to the bound's
  /// index. Nearly always all entries of a thread are before that index, or all are behind it. Then one comparison of
  /// keys decides.
  DSV4_DEVICE std::uint32_t reaching(Entry bound) const {
    constexpr std::uint32_t kIndices = 1u << 31;  // indices are below it
    constexpr std::uint32_t kSpan = kEntries;     // at least the distance of two entries of a thread
    const auto bound_key = static_cast<std::uint32_t>(bound >> 32);
    const std::uint32_t last = index_of(bound);
    std::uint32_t reached = 0;
    if (last >= kIndices || (first < kIndices && first + kSpan <= last)) {
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) reached |= key[i] >= bound_key ? 1u << i : 0u;
    } else if (first < kIndices && first > last) {
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) reached |= key[i] > bound_key ? 1u << i : 0u;
    } else {
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) reached |= entry(i) >= bound ? 1u << i : 0u;
    }
    return reached & valid;
  }

  /// Returns the index of score i in the row.
  DSV4_DEVICE std::uint32_t index(int i) const {
    return first + static_cast<std::uint32_t>(i / 4) * (kThreads * 4) + static_cast<std::uint32_t>(i) % 4;
  }
  DSV4_DEVICE Entry entry(int i) const { return make_entry(key[i], index(i)); }

  template <typename Visitor>
  DSV4_DEVICE void visit(Visitor&& visitor) const {
    if (valid == 0) return;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      if ((valid >> i & 1u) != 0) visitor(entry(i));
    }
  }

  /// Visits one entry of each thread. The entries of all threads are spread evenly over the chunk.
  template <typename Visitor>
  DSV4_DEVICE void visit_sample(Visitor&& visitor) const {
    std::uint32_t sampled = key[0];
    bool is_valid = (valid & 1u) != 0;
    const unsigned chosen = threadIdx.x % (kPerThread / 4);
#pragma unroll
    for (unsigned group = 1; group < kPerThread / 4; ++group) {
      sampled = chosen == group ? key[group * 4] : sampled;
      is_valid = chosen == group ? (valid >> (group * 4) & 1u) != 0 : is_valid;
    }
    if (is_valid) visitor(make_entry(sampled, first + chosen * (kThreads * 4)));
  }
};

/// Gives each thread of the block `own` consecutive positions, and returns its first one. Positions begin at
/// `memory.cursor`. The cursor is advanced by their number. The caller needs two barriers: one between setting the
/// cursor and this call, and one between this call and reading the cursor.
template <int K>
DSV4_DEVICE std::uint32_t take_positions(SelectMemory<K>& memory, std::uint32_t own) {
  const unsigned lane = threadIdx.x % 32;
  std::uint32_t through = own;  // sum of `own` over this lane and all lower lanes
#pragma unroll
  for (unsigned offset = 1; offset < 32; offset *= 2) {
    const std::uint32_t lower = __shfl_up_sync(kAllLanes, through, offset);
    if (lane >= offset) through += lower;
  }
  std::uint32_t base = 0;
  if (lane == 31 && through != 0) base = atomicAdd(&memory.cursor, through);
  return __shfl_sync(kAllLanes, base, 31) + through - own;
}

/// Calls `sink(position, entry)` for each entry >= `bound` among those that `visit` visits. Positions and barriers are
/// those of take_positions().
template <int K, typename Visit, typename Sink>
DSV4_DEVICE void collect(SelectMemory<K>& memory, Visit&& visit, Entry bound, Sink&& sink) {
  std::uint32_t own = 0;
  visit([&](Entry entry) DSV4_INLINE { own += entry >= bound ? 1u : 0u; });
  std::uint32_t position = take_positions(memory, own);
  if (own == 0) return;
  visit([&](Entry entry) DSV4_INLINE {
    if (entry >= bound) sink(position++, entry);
  });
}

/// The histogram counts entries by a digit: it has one bin for each value of the digit. This function finds the bin of
/// the `need`-th largest entry and stores it in `memory.pick`. Then it clears the histogram. All threads of the block
/// must call the function. There must be a barrier between counting and the call. The function ends with a barrier.
template <int K>
DSV4_DEVICE void pick_digit(SelectMemory<K>& memory, std::uint32_t need) {
  // Each thread owns a few neighbouring bins. No other thread reads or clears them.
  std::uint32_t count[kBinsPerThread];
  std::uint32_t own = 0;
#pragma unroll
  for (int b = 0; b < kBinsPerThread; ++b) {
    std::uint32_t& bin = memory.histogram[threadIdx.x * kBinsPerThread + b];
    count[b] = bin;
    bin = 0;
    own += count[b];
  }
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  std::uint32_t from = own;  // sum of `own` over this lane and all higher lanes
#pragma unroll
  for (unsigned offset = 1; offset < 32; offset *= 2) {
    const std::uint32_t higher = __shfl_down_sync(kAllLanes, from, offset);
    if (lane + offset < 32) from += higher;
  }
  if (lane == 0) memory.warp_total[warp] = from;
  __syncthreads();
  std::uint32_t above = from - own;
#pragma unroll
  for (unsigned w = 1; w < kWarps; ++w) above += w > warp ? memory.warp_total[w] : 0u;
  if (above < need && above + own >= need) {  // true in exactly one thread
#pragma unroll
    for (int b = kBinsPerThread - 1; b >= 0; --b) {
      if (above < need && above + count[b] >= need) {
        memory.pick = {threadIdx.x * kBinsPerThread + b, above, count[b]};
        break;
      }
      above += count[b];
    }
  }
  __syncthreads();
}

/// Radix selection among the entries >= `floor` that `visit` visits. There must be at least `need` of these entries.
/// Returns a bound. At least `need` and at most `most` of these entries reach it; if `most` equals `need`, exactly
/// `need` do. All entries differ, so after the last digit exactly `need` entries reach the bound. If scores are equal,
/// those with lower indices reach it.
///
/// The digits are those of an entry's distance to `base`, the low end of the range of the entries. The first digit
/// begins at the highest bit of the largest distance. So entries with similar values still spread over all bins, and
/// fewer atomics access the same bin at the same time.
template <int K, typename Visit>
DSV4_DEVICE Entry bound_of_largest(SelectMemory<K>& memory, Visit&& visit, Entry floor, std::uint32_t need,
                                   std::uint32_t most) {
  std::uint32_t top = 0;
  std::uint32_t bottom = ~0u;
  visit([&](Entry entry) DSV4_INLINE {
    const auto key = static_cast<std::uint32_t>(entry >> 32);
    if (entry >= floor) {
      top = key > top ? key : top;
      bottom = key < bottom ? key : bottom;
    }
  });
  top = __reduce_max_sync(kAllLanes, top);
  bottom = __reduce_min_sync(kAllLanes, bottom);
  if (threadIdx.x % 32 == 0) {
    atomicMax(&memory.top_key, top);
    atomicMin(&memory.bottom_key, bottom);
  }
  __syncthreads();
  const Entry lowest = static_cast<Entry>(memory.bottom_key) << 32;
  const Entry base = lowest > floor ? lowest : floor;
  const Entry range = (static_cast<Entry>(memory.top_key) << 32 | 0xFFFFFFFFu) - base;

  int known = 64 - __clzll(static_cast<long long>(range | 1));  // low bits of the bound's distance that are unknown
  Entry prefix = 0;                                             // the higher bits of that distance, which are known
  for (;;) {
    const int shift = known > kDigitBits ? known - kDigitBits : 0;
    const std::uint32_t mask = (1u << (known - shift)) - 1;
    visit([&](Entry entry) DSV4_INLINE {
      const Entry distance = entry - base;
      if (entry >= base && distance >> (known - 1) >> 1 == prefix) {
        atomicAdd(&memory.histogram[static_cast<std::uint32_t>(distance >> shift) & mask], 1u);
      }
    });
    __syncthreads();
    if (threadIdx.x == 0) {
      memory.top_key = 0;
      memory.bottom_key = ~0u;
    }
    pick_digit(memory, need);
    prefix = prefix << (known - shift) | memory.pick.bin;
    const std::uint32_t reached = memory.pick.above + memory.pick.count;
    if (reached <= most || shift == 0) return base + (prefix << shift);
    need -= memory.pick.above;
    most -= memory.pick.above;
    known = shift;
  }
}

/// The state of a block's selection. It is the same in all threads of the block.
template <int K>
class Selection {
 public:
  /// All threads of the block must call the constructor. It ends with a barrier.
  DSV4_DEVICE explicit Selection(SelectMemory<K>& memory) : memory_(memory) {
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) memory_.histogram[bin] = 0;
    if (threadIdx.x == 0) {
      memory_.cursor = 0;
      memory_.top_key = 0;
      memory_.bottom_key = ~0u;
    }
    __syncthreads();
  }

  /// Adds a chunk. This chunk and the later ones together have at most `size` entries. After the `last` chunk, the list
  /// holds the K largest entries, or all entries if there are fewer.
  DSV4_DEVICE void add(ScoreChunk& chunk, int size, bool last) {
    bool guessed = false;
    if (bound_ == 0 && size > kListCapacity) {
      bound_ = guess(chunk);
      guessed = true;
    }
    std::uint32_t wanted = append(chunk);
    if (guessed && wanted < K) {
      // Fewer than K entries reach the guessed bound. So the guess is too high and must not be used.
      bound_ = 0;
      if (threadIdx.x == 0) memory_.cursor = 0;
      __syncthreads();
      wanted = append(chunk);
    }
    if (wanted <= kListCapacity) {
      count_ = wanted;
      // More than K entries reach the guessed bound. A higher bound saves work for every later chunk. It is computed
      // now if the list would otherwise become nearly full. The other chunks may add as many entries as this one.
      constexpr int kNearlyFull = kListCapacity * 3 / 4;
      const bool is_raised = guessed && static_cast<std::int64_t>(wanted) * size / ScoreChunk::kEntries > kNearlyFull;
      if (wanted <= K || !(last || is_raised)) return;
      chunk.clear();  // the list already has all entries of the chunk that reach the bound
    }
    // If the chunk did not fit, `count_` is still the old length, so the list's new entries are ignored. The registers
    // still hold the whole chunk.
    shorten([&](auto&& visitor) DSV4_INLINE { chunk.visit(visitor); });
  }

  /// Selects among the first `count` entries of the list, which the caller wrote. Nothing may have been added before.
  DSV4_DEVICE void add_list(std::uint32_t count) {
    count_ = count;
    if (count > K) shorten([](auto&&) DSV4_INLINE {});
  }

  /// Calls `sink(position, entry)` for each entry of the list, in unspecified order. The last chunk must have been
  /// added before.
  template <typename Sink>
  DSV4_DEVICE void finish(Sink&& sink) const {
    for (std::uint32_t i = threadIdx.x; i < count_; i += kThreads) sink(i, memory_.list[i]);
  }

 private:
  /// Finds the K largest entries among those of the list and those that `visit_more` visits. Only these remain in the
  /// list, and the smallest of them becomes the bound.
  template <typename Visit>
  DSV4_DEVICE void shorten(Visit&& visit_more) {
    const auto everything = [&](auto&& visitor) DSV4_INLINE {
      visit_more(visitor);
#pragma unroll 1
      for (std::uint32_t i = threadIdx.x; i < count_; i += kThreads) visitor(memory_.list[i]);
    };
    bound_ = bound_of_largest(memory_, everything, bound_, K, K);
    if (threadIdx.x == 0) memory_.cursor = 0;
    __syncthreads();
    collect(memory_, everything, bound_,
            [&](std::uint32_t position, Entry entry) DSV4_INLINE { memory_.winners[position] = entry; });
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < K; i += kThreads) {
      memory_.list[i] = memory_.winners[i];
      memory_.winners[i] = 0;  // this also clears the histogram, which uses the same memory
    }
    count_ = K;  // the cursor is also K
    __syncthreads();
  }

  /// Guesses a bound that about 2 * K entries of the chunk reach. The sample has one of every kPerThread
  /// entries. If the bound is the r-th largest entry of the sample, kPerThread * (r +- 4 sqrt(r)) entries of the chunk
  /// reach it. That is almost always at least K, and at most kListCapacity.
  DSV4_DEVICE Entry guess(const ScoreChunk& chunk) {
    constexpr std::uint32_t kNeed = (K + 768) / ScoreChunk::kPerThread;
    constexpr std::uint32_t kMost = (K + 1376) / ScoreChunk::kPerThread;
    const auto sample = [&](auto&& visitor) DSV4_INLINE { chunk.visit_sample(visitor); };
    return bound_of_largest(memory_, sample, Entry{0}, kNeed, kMost);
  }

  /// Appends to the list those entries of a chunk that reach the bound, until the list is full. Returns the length that
  /// the list would have with all of them.
  DSV4_DEVICE std::uint32_t append(const ScoreChunk& chunk) {
    const std::uint32_t reached = chunk.reaching(bound_);
    std::uint32_t position = take_positions(memory_, static_cast<std::uint32_t>(__popc(reached)));
    if (reached != 0) {
#pragma unroll
      for (int i = 0; i < ScoreChunk::kPerThread; ++i) {
        if ((reached >> i & 1u) == 0) continue;
        if (position < kListCapacity) memory_.list[position] = chunk.entry(i);
        ++position;
      }
    }
    __syncthreads();
    const std::uint32_t wanted = memory_.cursor;
    __syncthreads();  // all threads must have read the cursor before a thread changes it again
    return wanted;
  }

  SelectMemory<K>& memory_;
  std::uint32_t count_ = 0;  ///< number of entries in the list
  Entry bound_ = 0;
};

}  // namespace dsv4::topk
