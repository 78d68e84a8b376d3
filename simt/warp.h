/// Warp collectives: shuffles, votes, matches and reductions. As on a GPU, the other lanes do not wait for a lane that
/// has ended. In CUDA, a value from a lane that did not take part is undefined. Here it is `simt::undefined_word()`.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

#include "simt/executor.h"

namespace simt {

template <typename T>
std::uint64_t to_slot(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a warp collective moves at most 8 bytes");
  std::uint64_t slot = 0;
  std::memcpy(&slot, &value, sizeof value);
  return slot;
}

template <typename T>
T from_slot(std::uint64_t slot) {
  T value;
  std::memcpy(&value, &slot, sizeof value);
  return value;
}

/// Waits for the lanes of `mask` and returns the value of lane `source`.
template <typename T>
T shuffle(std::uint32_t mask, Collective form, T value, unsigned source) {
  Exchange& exchange = join(mask, form, to_slot(value));
  const bool there = (exchange.arrived >> source & 1) != 0;
  const std::uint64_t nothing = undefined_word() * 0x100000001u;
  const T result = from_slot<T>(there ? exchange.value[source] : nothing);
  leave(exchange);
  return result;
}

/// Waits for the lanes of `mask`. Calls `visit` with the number and the value of each lane, in lane order.
template <typename T, typename Visit>
void gather(std::uint32_t mask, Collective form, T value, Visit visit) {
  Exchange& exchange = join(mask, form, to_slot(value));
  for (std::uint32_t lanes = exchange.arrived; lanes != 0; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    visit(static_cast<unsigned>(lane), from_slot<T>(exchange.value[lane]));
  }
  leave(exchange);
}

template <typename T, typename Combine>
T reduce(std::uint32_t mask, Collective form, T value, Combine combine) {
  T result{};
  bool first = true;
  gather(mask, form, value, [&](unsigned, T other) {
    result = first ? other : combine(result, other);
    first = false;
  });
  return result;
}

/// Waits for the lanes of `mask`. Returns the mask of the lanes whose predicate is true.
inline unsigned vote(std::uint32_t mask, Collective form, bool predicate) {
  unsigned yes = 0;
  gather(mask, form, predicate, [&](unsigned lane, bool p) { yes |= static_cast<unsigned>(p) << lane; });
  return yes;
}

/// A shuffle with a width divides the warp into segments of `width` lanes. Returns a mask of the bits of a lane number
/// that are the same in the whole segment. In CUDA, a width that is not a power of two is undefined, so here it fails
/// the launch.
inline unsigned segment_bits(int width) {
  if (!std::has_single_bit(static_cast<unsigned>(width)) || width > static_cast<int>(kWarpLanes)) {
    fail_kernel(719 /* cudaErrorLaunchFailure */,
                "shuffles with width " + std::to_string(width) + ", but the width must be a power of two up to 32");
  }
  return ~(static_cast<unsigned>(width) - 1u) & (kWarpLanes - 1);
}

// CUDA does not have overloads for integers smaller than int. So a bool or a short is exchanged as an int, here
// as well.
template <typename T>
using Promoted = std::conditional_t<std::is_integral_v<T> && sizeof(T) < sizeof(int), int, T>;

}  // namespace simt

inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { simt::leave(simt::join(mask, simt::Collective::kSyncWarp, 0)); }

// The GPU's shuffle instruction uses only the low 5 bits of a lane number or a distance.
template <typename T>
simt::Promoted<T> __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned segment = simt::segment_bits(width);
  const unsigned from = (simt::executor.lane & segment) | (static_cast<unsigned>(source) & ~segment & 31u);
  return simt::shuffle<simt::Promoted<T>>(mask, simt::Collective::kShuffle, value, from);
}

template <typename T>
simt::Promoted<T> __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = simt::executor.lane, first = lane & simt::segment_bits(width), distance = delta & 31u;
  return simt::shuffle<simt::Promoted<T>>(mask, simt::Collective::kShuffleUp, value,
                                          first + distance <= lane ? lane - distance : lane);
}

template <typename T>
simt::Promoted<T> __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = simt::executor.lane, last = lane | (~simt::segment_bits(width) & 31u);
  const unsigned from = lane + (delta & 31u);
  return simt::shuffle<simt::Promoted<T>>(mask, simt::Collective::kShuffleDown, value, from <= last ? from : lane);
}

template <typename T>
simt::Promoted<T> __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  // A lane of an earlier segment may be read. For a lane of a later segment, the result is the lane's own value.
  const unsigned lane = simt::executor.lane, last = lane | (~simt::segment_bits(width) & 31u);
  const unsigned from = lane ^ (static_cast<unsigned>(lane_mask) & 31u);
  return simt::shuffle<simt::Promoted<T>>(mask, simt::Collective::kShuffleXor, value, from <= last ? from : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return simt::vote(mask, simt::Collective::kBallot, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return simt::vote(mask, simt::Collective::kAny, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return simt::vote(mask, simt::Collective::kAll, predicate == 0) == 0;
}
inline int __uni_sync(unsigned mask, int predicate) {
  bool yes = false, no = false;
  simt::gather(mask, simt::Collective::kUni, predicate != 0, [&](unsigned, bool p) { (p ? yes : no) = true; });
  return !(yes && no);
}
/// Returns only the running lane. Lanes that take the same branch need not run together, so a correct kernel must
/// accept this result. A larger result could contain a lane that never arrives at the next collective.
inline unsigned __activemask() { return 1u << simt::executor.lane; }

template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  unsigned same = 0;
  simt::gather(mask, simt::Collective::kMatchAny, value, [&](unsigned lane, T other) {
    if (simt::to_slot(other) == simt::to_slot(value)) same |= 1u << lane;
  });
  return same;
}

template <typename T>
unsigned __match_all_sync(unsigned mask, T value, int* all_equal) {
  unsigned same = 0, lanes = 0;
  simt::gather(mask, simt::Collective::kMatchAll, value, [&](unsigned lane, T other) {
    lanes |= 1u << lane;
    if (simt::to_slot(other) == simt::to_slot(value)) same |= 1u << lane;
  });
  *all_equal = same == lanes;
  return *all_equal ? lanes : 0;
}

template <typename T>
T __reduce_add_sync(unsigned mask, T value) {
  return static_cast<T>(simt::reduce(mask, simt::Collective::kReduceAdd, static_cast<unsigned>(value),
                                     [](unsigned a, unsigned b) { return a + b; }));
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value) {
  return simt::reduce(mask, simt::Collective::kReduceMin, value, [](T a, T b) { return std::min(a, b); });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value) {
  return simt::reduce(mask, simt::Collective::kReduceMax, value, [](T a, T b) { return std::max(a, b); });
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value) {
  return simt::reduce(mask, simt::Collective::kReduceAnd, value, [](unsigned a, unsigned b) { return a & b; });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
  return simt::reduce(mask, simt::Collective::kReduceOr, value, [](unsigned a, unsigned b) { return a | b; });
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value) {
  return simt::reduce(mask, simt::Collective::kReduceXor, value, [](unsigned a, unsigned b) { return a ^ b; });
}
