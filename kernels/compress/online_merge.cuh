/// Merges new tokens with the running softmax of their group, for online compression at ratio 128. The kernels of V2
/// find the slots and the tokens in their plans. Those of V1 find the slots in the arguments about each request.
#pragma once

#include <cmath>

#include "kernels/compress/online_state.cuh"

namespace dsv4 {

inline constexpr int kOnlineDecodeThreads = kOnlineHeadDim / kOnlineColumns;  ///< a block has one request

/// Adds one token to the running softmax of its group. Each thread of the block has four columns. `token` is the
/// token's row of kv_input, and of kv_output if it completes the group. `place` is its place in the group. The earlier
/// tokens are in slot `from`, and the result is written to slot `to`. The first token of a group does not read a slot,
/// and the last one does not write one.
DSV4_DEVICE void merge_token(const OnlineTensors& t, std::int64_t token, int place, std::int32_t from,
                             std::int32_t to) {
  const int column = static_cast<int>(threadIdx.x) * kOnlineColumns;
  const float* row = t.row(token) + column;
  OnlineColumns kv, score, bias;
  kv.load(row);
  score.load(row + kOnlineHeadDim);
  bias.load(t.ape + place * kOnlineHeadDim + column);
  const bool first = place == 0;
  OnlineColumns largest, sum, mean;
  if (!first) {
    largest.load(t.block(from, 0) + column);
    sum.load(t.block(from, 1) + column);
    mean.load(t.block(from, 2) + column);
  }
#pragma unroll
  for (int c = 0; c < kOnlineColumns; ++c) {
    const float z = __fadd_rn(score.v[c], bias.v[c]);
    if (first) {
      largest.v[c] = z;
      sum.v[c] = 1.0f;
      mean.v[c] = kv.v[c];
      continue;
    }
    const float before = largest.v[c];
    largest.v[c] = max_number(before, z);
    const float earlier = __fmul_rn(sum.v[c], __expf(__fsub_rn(before, largest.v[c])));
    const float weight = __expf(__fsub_rn(z, largest.v[c]));
    sum.v[c] = __fadd_rn(earlier, weight);
    // The fast division is valid here, because the sum is from 1 to 128.
    mean.v[c] = __fdividef(__fmaf_rn(kv.v[c], weight, __fmul_rn(mean.v[c], earlier)), sum.v[c]);
  }
  if (place == kOnlinePlaces - 1) {
    mean.store(t.output + token * kOnlineHeadDim + column);
  } else {
    largest.store(t.block(to, 0) + column);
    sum.store(t.block(to, 1) + column);
    mean.store(t.block(to, 2) + column);
  }
}

// A block merges 64 columns of one segment. It has sixteen parts of sixteen threads. A part has eight places of the
// group, and a thread has four columns.
inline constexpr int kOnlineParts = 16;
inline constexpr int kOnlinePlacesOfPart = kOnlinePlaces / kOnlineParts;
inline constexpr int kOnlineTile = 16 * kOnlineColumns;
inline constexpr int kOnlineTiles = kOnlineHeadDim / kOnlineTile;  ///< blocks of a segment
inline constexpr int kOnlineSegmentThreads = kOnlineParts * 16;
inline constexpr int kOnlineBlocks = 2;  ///< of a multiprocessor; with more, a thread could not hold all of its loads

/// A run of tokens of the batch in one group.
struct SegmentOfGroup {
  std::int64_t last_token;  ///< row of its last token in kv_input
  int begin;                ///< place of its first token in the group
  int last;                 ///< place of its last token
  std::int32_t from;        ///< slot of the earlier tokens of the group; not used if begin = 0
  std::int32_t to;          ///< slot of the result, if the group stays open
  std::int64_t entry;       ///< row of kv_output of the result, if the segment completes the group

  /// Returns the segment of `tokens` tokens that ends at `position` of its request. Its places are not bounded.
  DSV4_DEVICE static SegmentOfGroup ending_at(std::uint32_t position, std::uint32_t tokens, std::int64_t last_token) {
    const auto last = static_cast<int>(position % kOnlinePlaces);
    return {last_token, tokens > kOnlinePlaces ? -1 : last + 1 - static_cast<int>(tokens), last, -1, -1, -1};
  }
  DSV4_DEVICE bool has_earlier() const { return begin > 0; }
  DSV4_DEVICE bool has(int place) const { return place >= begin && place <= last; }
  /// True if all tokens are in the batch and in one group, and the slots that the segment uses are in the state.
  DSV4_DEVICE bool is_inside(const OnlineTensors& t, bool keep) const {
    return begin >= 0 && begin <= last && last_token < t.tokens && last_token >= last - begin &&
           (!has_earlier() || t.has_slot(from)) && (!keep || t.has_slot(to));
  }
};

/// Returns the sum of one column over all parts, as a balanced tree.
DSV4_DEVICE float sum_of_parts(const float (&parts)[kOnlineParts][kOnlineTile], int column) {
  float sums[kOnlineParts];
#pragma unroll
  for (int i = 0; i < kOnlineParts; ++i) sums[i] = parts[i][column];
#pragma unroll
  for (int n = kOnlineParts / 2; n > 0; n /= 2) {
#pragma unroll
    for (int i = 0; i < n; ++i) sums[i] = __fadd_rn(sums[i], sums[i + n]);
  }
  return sums[0];
}

/// Merges tile number `tile` of a segment. The segment must be inside the tensors. All threads of the block must call
/// it. `kKeep` is true if the result is stored in a slot, and false if the mean is an entry.
template <bool kKeep>
DSV4_DEVICE void merge_segment(const OnlineTensors& t, const SegmentOfGroup& segment, int tile) {
  const int part = static_cast<int>(threadIdx.x) / 16;
  const int of_tile = static_cast<int>(threadIdx.x) % 16 * kOnlineColumns;
  const int column = tile * kOnlineTile + of_tile;
  alignas(16) __shared__ float largest[kOnlineParts][kOnlineTile];  // also written as vectors
  __shared__ float weights[kOnlineParts][kOnlineTile];
  __shared__ float products[kOnlineParts][kOnlineTile];

  OnlineColumns kv[kOnlinePlacesOfPart], z[kOnlinePlacesOfPart], bias[kOnlinePlacesOfPart], top, earlier;
  // All loads are unconditional, so that they overlap. A place without a token gets the row of the last token.
#pragma unroll
  for (int i = 0; i < kOnlinePlacesOfPart; ++i) {
    const int place = part * kOnlinePlacesOfPart + i;
    const bool has_token = segment.has(place);
    const float* row = t.row(segment.last_token - (has_token ? segment.last - place : 0)) + column;
    kv[i].load(row);
    z[i].load(row + kOnlineHeadDim);
    bias[i].load(t.ape + place * kOnlineHeadDim + column);
  }
  if (segment.has_earlier()) earlier.load(t.block(segment.from, 0) + column);
#pragma unroll
  for (float& v : top.v) v = -INFINITY;
#pragma unroll
  for (int i = 0; i < kOnlinePlacesOfPart; ++i) {
    const int place = part * kOnlinePlacesOfPart + i;
    const bool has_token = segment.has(place);
#pragma unroll
    for (int c = 0; c < kOnlineColumns; ++c) {  // a place without a token has the weight 0
      kv[i].v[c] = has_token ? kv[i].v[c] : 0.0f;
      z[i].v[c] = has_token ? __fadd_rn(z[i].v[c], bias[i].v[c]) : -INFINITY;
      top.v[c] = max_number(top.v[c], z[i].v[c]);
    }
  }
  top.store(&largest[part][of_tile]);
  __syncthreads();

  // The maximum of all tokens, earlier ones included. All weights are relative to it.
#pragma unroll
  for (int c = 0; c < kOnlineColumns; ++c) {
#pragma unroll
    for (int i = 0; i < kOnlineParts; ++i) top.v[c] = max_number(top.v[c], largest[i][of_tile + c]);
    if (segment.has_earlier()) top.v[c] = max_number(top.v[c], earlier.v[c]);
    float sum = 0.0f, product = 0.0f;
#pragma unroll
    for (int i = 0; i < kOnlinePlacesOfPart; ++i) {
      const float weight = __expf(__fsub_rn(z[i].v[c], top.v[c]));
      sum = __fadd_rn(sum, weight);
      product = __fmaf_rn(kv[i].v[c], weight, product);
    }
    weights[part][of_tile + c] = sum;
    products[part][of_tile + c] = product;
  }
  __syncthreads();
  if (part == 0) top.store(&largest[0][of_tile]);
  __syncthreads();

  if (threadIdx.x >= kOnlineTile) return;
  const auto own = static_cast<int>(threadIdx.x);
  const int at = tile * kOnlineTile + own;
  const float maximum = largest[0][own];
  float sum = sum_of_parts(weights, own), product = sum_of_parts(products, own);
  if (segment.has_earlier()) {
    const float factor = __expf(__fsub_rn(t.block(segment.from, 0)[at], maximum));
    const float weight = __fmul_rn(t.block(segment.from, 1)[at], factor);
    sum = __fadd_rn(sum, weight);
    product = __fmaf_rn(t.block(segment.from, 2)[at], weight, product);
  }
  const float mean = __fdividef(product, sum);  // the fast division is valid here, because the sum is from 1 to 128
  if constexpr (kKeep) {
    t.block(segment.to, 0)[at] = maximum;
    t.block(segment.to, 1)[at] = sum;
    t.block(segment.to, 2)[at] = mean;
  } else {
    t.output[segment.entry * kOnlineHeadDim + at] = mean;
  }
}

}  // namespace dsv4
