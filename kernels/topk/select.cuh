/// One block selects exactly the k largest of a stream of entries, in shared memory of fixed size.
///
/// An entry has 64 bits: the upper half is the order key of a score, the lower half is the complement of its index. So
/// "larger entry" means "larger score, and of equal scores the lower index". All entries are different, so the k
/// largest are one definite set.
///
/// The block reads the stream in chunks that fill its registers. It keeps a list of entries that may still be among the
/// k largest, and a bound: entries below it cannot be among them. The entries of a chunk that reach the bound are
/// appended to the list.
///
/// If they do not fit, radix selection finds the k largest of list and registers together. The list shrinks to these,
/// and the bound rises to the smallest of them. The same is done once after a guessed bound, and once after the last
/// chunk. The first bound is guessed from a sample of the first chunk, and is kept only if at least k entries reach it.
///
/// So ordinary data costs one comparison per score, and radix selections of a short list. Adversarial data (ascending
/// scores, clustered scores, ties) costs one radix selection per chunk. No buffer can overflow.
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
constexpr int kListCapacity = 4864;  ///< 4 * 1024, and a reserve for chance; all shared memory is just below 48 KiB

/// Maps a score to a key, so that a larger key comes first. Every NaN is above +Inf; NaNs are ordered by their bits,
/// negative ones last. Other scores are ordered by value, with -0 < +0. The usual order-preserving map puts -NaN below
/// -Inf. So the keys from -Inf to +Inf are moved down, and those of -NaN go between +Inf and +NaN.
DSV4_DEVICE std::uint32_t order_key(float score) {
  const std::uint32_t bits = __float_as_uint(score);
  const std::uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  if (ordered > 0xFF800000u) return ordered;                // +NaN
  if (ordered < 0x007FFFFFu) return ordered + 0xFF000002u;  // -NaN, to just above +Inf
  return ordered - 0x007FFFFFu;                             // -Inf is 0, +Inf is 0xFF000001
}

DSV4_DEVICE Entry make_entry(std::uint32_t key, std::uint32_t index) {
  return static_cast<Entry>(key) << 32 | static_cast<std::uint32_t>(~index);
}
DSV4_DEVICE std::uint32_t index_of(Entry entry) { return ~static_cast<std::uint32_t>(entry); }

/// Lambdas that use a chunk must be inlined, or the chunk could not stay in registers.
#define DSV4_INLINE __attribute__((always_inline))

/// Shared memory of a selection of at most `K` entries.
template <int K>
struct SelectMemory {
  static_assert(K < kListCapacity);
  static_assert(sizeof(Entry) * K <= sizeof(std::uint32_t) * kBins);
  alignas(16) Entry list[kListCapacity];
  union {
    alignas(16) std::uint32_t histogram[kBins];  ///< all zero between passes
    alignas(16) Entry winners[K];                ///< used only while selected entries move to the list; then zeroed
  };
  std::uint32_t warp_total[kWarps];
  std::uint32_t cursor;
  std::uint32_t top_key;     ///< largest key, for `bound_of_largest`; 0 between its calls
  std::uint32_t bottom_key;  ///< smallest key; all ones between the calls
  struct {
    std::uint32_t bin;
    std::uint32_t above;  ///< entries in higher bins
    std::uint32_t count;  ///< entries in this bin
  } pick;
};

/// A chunk of scores in registers.
struct ScoreChunk {
  static constexpr int kPerThread = 16;
  static constexpr int kEntries = kThreads * kPerThread;

  std::uint32_t key[kPerThread];
  std::uint32_t valid;  ///< one bit per register
  std::uint32_t first;  ///< index of register 0

  /// Loads scores `offset` .. `offset + kEntries` of a part of a row. The part has `length` scores, and its first score
  /// is at position `begin` of the row. `part + offset` must be a multiple of 16 bytes, so `offset` may be as low as
  /// -3. If a group of four scores crosses an end of the part, its scores are read one by one, and nothing outside the
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

  /// Turns the loaded scores into order keys. It is separate from `load`, so that a prefetch does not wait
  /// for its data.
  DSV4_DEVICE void convert() {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) key[i] = order_key(__uint_as_float(key[i]));
  }

  template <typename Visitor>
  DSV4_DEVICE void visit(Visitor&& visitor) const {
    if (valid == 0) return;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      if ((valid >> i & 1u) != 0) visitor(make_entry(key[i], first + (i / 4) * (kThreads * 4) + i % 4));
    }
  }

  /// Visits one entry of each thread. These entries are spread evenly over the chunk.
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

/// A chunk of entries that earlier selections left in global memory. Indices stay below 2^31, so an entry is never 0,
/// and 0 marks the registers past the end.
struct EntryChunk {
  static constexpr int kPerThread = 8;
  static constexpr int kEntries = kThreads * kPerThread;

  Entry entry[kPerThread];

  DSV4_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) entry[i] = 0;
  }

  /// Loads entries `base` .. `base + kEntries` of `count`. `count` must be even, and `entries` a multiple of 16 bytes.
  DSV4_DEVICE void load(const Entry* entries, int base, int count) {
#pragma unroll
    for (int pair = 0; pair < kPerThread / 2; ++pair) {
      const int at = base + (pair * kThreads + static_cast<int>(threadIdx.x)) * 2;
      Pack<Entry, 2, true> two{};
      if (at < count) two.load(entries + at);
      entry[2 * pair] = two.v[0];
      entry[2 * pair + 1] = two.v[1];
    }
  }

  template <typename Visitor>
  DSV4_DEVICE void visit(Visitor&& visitor) const {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      if (entry[i] != 0) visitor(entry[i]);
    }
  }

  template <typename Visitor>
  DSV4_DEVICE void visit_sample(Visitor&& visitor) const {
    Entry left[kPerThread];  // each step keeps one half, by a bit of the thread's number: one entry remains
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) left[i] = entry[i];
#pragma unroll
    for (int half = kPerThread / 2; half > 0; half /= 2) {
#pragma unroll
      for (int i = 0; i < half; ++i) left[i] = (threadIdx.x & half) != 0 ? left[i + half] : left[i];
    }
    if (left[0] != 0) visitor(left[0]);
  }
};

/// Gives each entry >= bound that `visit` shows to `sink(position, entry)`. Positions are consecutive from
/// `memory.cursor` on, and the cursor moves behind them. There must be a barrier before the call, after the cursor is
/// set, and one after the call, before the cursor is read.
template <int K, typename Visit, typename Sink>
DSV4_DEVICE void collect(SelectMemory<K>& memory, Visit&& visit, Entry bound, Sink&& sink) {
  std::uint32_t own = 0;
  visit([&](Entry entry) DSV4_INLINE { own += entry >= bound ? 1u : 0u; });
  const unsigned lane = threadIdx.x % 32;
  std::uint32_t through = own;  // sum over this lane and the lower ones
#pragma unroll
  for (unsigned offset = 1; offset < 32; offset *= 2) {
    const std::uint32_t lower = __shfl_up_sync(kAllLanes, through, offset);
    if (lane >= offset) through += lower;
  }
  std::uint32_t base = 0;
  if (lane == 31 && through != 0) base = atomicAdd(&memory.cursor, through);
  base = __shfl_sync(kAllLanes, base, 31);
  if (own == 0) return;
  std::uint32_t position = base + through - own;
  visit([&](Entry entry) DSV4_INLINE {
    if (entry >= bound) sink(position++, entry);
  });
}

/// Finds the digit of the `need`-th largest entry that the histogram counted, stores it in `memory.pick`, and clears
/// the histogram. All threads must call it. There must be a barrier before the call, and the function ends with one.
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
  std::uint32_t from = own;  // sum over this lane and the higher ones
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
  if (above < need && above + own >= need) {  // exactly one thread
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

/// Radix selection among the entries >= `floor` that `visit` shows; there must be at least `need` of them. Returns a
/// bound that at least `need` and at most `most` of them reach: exactly `need` if the two are equal. Digits are taken
/// from an entry's distance to the smallest entry, beginning at the highest bit of the largest distance. So entries
/// that lie close together still spread over all bins, and fewer atomics meet in one bin. All entries differ, so the
/// last digit always decides, and of equal scores the lowest index is taken.
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

  int known = 64 - __clzll(static_cast<long long>(range | 1));  // wanted distances agree in all bits from this one up
  Entry prefix = 0;                                             // and this is the value of those bits
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
  /// All threads must call it. It ends with a barrier.
  DSV4_DEVICE explicit Selection(SelectMemory<K>& memory) : memory_(memory) {
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads) memory_.histogram[bin] = 0;
    if (threadIdx.x == 0) {
      memory_.cursor = 0;
      memory_.top_key = 0;
      memory_.bottom_key = ~0u;
    }
    __syncthreads();
  }

  /// Adds a chunk of at most `size` entries. After the `last` chunk the list holds the K largest entries, or all
  /// entries if there are fewer.
  template <typename Chunk>
  DSV4_DEVICE void add(Chunk& chunk, int size, bool last) {
    bool guessed = false;
    if (bound_ == 0 && size > kListCapacity) {
      bound_ = guess(chunk);
      guessed = true;
    }
    std::uint32_t wanted = append(chunk);
    if (guessed && wanted < K) {
      // Fewer than K entries reach the guessed bound, so it is not valid.
      bound_ = 0;
      if (threadIdx.x == 0) memory_.cursor = 0;
      __syncthreads();
      wanted = append(chunk);
    }
    if (wanted <= kListCapacity) {
      count_ = wanted;
      // A guessed bound is loose. A tighter bound saves work for every later chunk, so it is computed now.
      if (wanted <= K || !(last || guessed)) return;
      chunk.clear();  // the list has every entry that matters
    }
    // Otherwise the entries just appended to the list are dropped, because the registers still hold the chunk.
    const auto everything = [&](auto&& visitor) DSV4_INLINE {
      chunk.visit(visitor);
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
      memory_.winners[i] = 0;  // this also zeroes the histogram, which shares the memory
    }
    count_ = K;  // the cursor has counted to K as well
    __syncthreads();
  }

  /// Call it after the last chunk. It gives the entries of the list to `sink(position, entry)`, in unspecified order.
  template <typename Sink>
  DSV4_DEVICE void finish(Sink&& sink) const {
    for (std::uint32_t i = threadIdx.x; i < count_; i += kThreads) sink(i, memory_.list[i]);
  }

 private:
  /// A bound that about two K of a chunk's entries reach, guessed from one entry in Chunk::kPerThread. If the sample
  /// of rank r is the bound, kPerThread * (r +- 4 sqrt(r)) entries reach it. That is enough for K, and few enough
  /// for the list.
  template <typename Chunk>
  DSV4_DEVICE Entry guess(const Chunk& chunk) {
    constexpr std::uint32_t kNeed = (K + 768) / Chunk::kPerThread;
    constexpr std::uint32_t kMost = (K + 1376) / Chunk::kPerThread;
    const auto sample = [&](auto&& visitor) DSV4_INLINE { chunk.visit_sample(visitor); };
    return bound_of_largest(memory_, sample, Entry{0}, kNeed, kMost);
  }

  /// Appends a chunk's entries that reach the bound to the list, as far as there is room.
  /// Returns how long the list would be with all of them.
  template <typename Chunk>
  DSV4_DEVICE std::uint32_t append(const Chunk& chunk) {
    const auto chunk_only = [&](auto&& visitor) DSV4_INLINE { chunk.visit(visitor); };
    collect(memory_, chunk_only, bound_, [&](std::uint32_t position, Entry entry) DSV4_INLINE {
      if (position < kListCapacity) memory_.list[position] = entry;
    });
    __syncthreads();
    const std::uint32_t wanted = memory_.cursor;
    __syncthreads();  // all threads have read the cursor before one moves it again
    return wanted;
  }

  SelectMemory<K>& memory_;
  std::uint32_t count_ = 0;  ///< number of entries in the list
  Entry bound_ = 0;
};

}  // namespace dsv4::topk
