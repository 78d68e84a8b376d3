/// compress_c128_online_prefill: merges the segments of a prefill batch with the running softmaxes of their groups of
/// 128 tokens. Segments that complete their group give compressed entries. The others are stored in the state.
///
///     prefill(kv_buffer, kv_input, kv_output, ape, plan_c, plan_w)
///
/// | argument  | shape            | dtype   | |
/// |-----------|------------------|---------|-|
/// | kv_buffer | [slots, 1, 1536] | float32 | in place: largest score, sum of the weights, mean of kv |
/// | kv_input  | [N, 1024]        | float32 | rows of the batch's tokens: kv, score |
/// | kv_output | [n_c, 512]       | float32 | out; row k belongs to plan_c[k] |
/// | ape       | [128, 512]       | float32 | bias of the scores for each place in the group |
/// | plan_c    | [n_c, 16]        | uint8   | CompressPlan of each segment that completes its group |
/// | plan_w    | [n_w, 16]        | uint8   | CompressPlan of each segment whose group stays open, n_w <= N |
///
/// All tensors are contiguous, on the same device, and aligned to 16 bytes. The segments of plan_c read the state as it
/// was before the call. Therefore the segments of plan_w are stored by a second launch. No two of them may have the
/// same slot. A segment that begins its group does not read its slot.
///
/// Sentinels (plan rows that are marked as empty) are skipped. The plans are on the device, so the host cannot check
/// them. A row of a plan that names tokens outside the batch or the group, or a slot outside the state, is skipped like
/// a sentinel.

#include <cmath>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_state.cuh"

namespace dsv4 {
namespace {

using layout::CompressPlan;

struct OnlinePrefillParams {
  OnlineTensors t;
  const CompressPlan* plan;
};

// A block merges 64 columns of one segment. It has sixteen parts of sixteen threads. A part has eight places of the
// group, and a thread has four columns.
constexpr int kParts = 16;
constexpr int kPlacesOfPart = kOnlinePlaces / kParts;
constexpr int kLanes = 16;
constexpr int kTile = kLanes * kOnlineColumns;
constexpr int kTiles = kOnlineHeadDim / kTile;
constexpr int kThreads = kParts * kLanes;

/// Returns the sum of one column over all parts, as a balanced tree.
DSV4_DEVICE float sum_of_parts(const float (&parts)[kParts][kTile], int column) {
  float sums[kParts];
#pragma unroll
  for (int i = 0; i < kParts; ++i) sums[i] = parts[i][column];
#pragma unroll
  for (int n = kParts / 2; n > 0; n /= 2) {
#pragma unroll
    for (int i = 0; i < n; ++i) sums[i] = __fadd_rn(sums[i], sums[i + n]);
  }
  return sums[0];
}

/// `kKeep` is true if the segments are stored, and false if they complete their group.
template <bool kKeep>
__global__ void __launch_bounds__(kThreads) online_prefill_kernel(const __grid_constant__ OnlinePrefillParams p) {
  wait_for_previous_kernel();
  const std::int64_t segment = blockIdx.x / kTiles;
  const CompressPlan plan = p.plan[segment];
  if (plan.seq_len == layout::kNoEntry || plan.seq_len == 0) return;
  const auto last = static_cast<int>((plan.seq_len - 1) % kOnlinePlaces);
  const int begin = last + 1 - plan.buffer_len;  // place of the segment's first token
  if (plan.buffer_len == 0 || begin < 0 || plan.ragged_id >= p.t.tokens || plan.ragged_id + 1 < plan.buffer_len) return;
  const bool has_earlier = begin > 0;
  if ((kKeep || has_earlier) && !p.t.has_slot(plan.read_page_0)) return;

  const int part = static_cast<int>(threadIdx.x) / kLanes;
  const int of_tile = static_cast<int>(threadIdx.x) % kLanes * kOnlineColumns;
  const int tile = static_cast<int>(blockIdx.x) % kTiles * kTile;
  const int column = tile + of_tile;
  alignas(16) __shared__ float largest[kParts][kTile];  // also written as vectors
  __shared__ float weights[kParts][kTile];
  __shared__ float products[kParts][kTile];

  OnlineColumns kv[kPlacesOfPart], z[kPlacesOfPart], top;
#pragma unroll
  for (float& v : top.v) v = -INFINITY;
#pragma unroll
  for (int i = 0; i < kPlacesOfPart; ++i) {
    const int place = part * kPlacesOfPart + i;
    if (place >= begin && place <= last) {
      const float* row = p.t.row(std::int64_t{plan.ragged_id} - (last - place)) + column;
      OnlineColumns bias;
      kv[i].load(row);
      z[i].load(row + kOnlineHeadDim);
      bias.load(p.t.ape + place * kOnlineHeadDim + column);
#pragma unroll
      for (int c = 0; c < kOnlineColumns; ++c) z[i].v[c] = __fadd_rn(z[i].v[c], bias.v[c]);
    } else {  // the place has the weight 0
#pragma unroll
      for (int c = 0; c < kOnlineColumns; ++c) {
        kv[i].v[c] = 0.0f;
        z[i].v[c] = -INFINITY;
      }
    }
#pragma unroll
    for (int c = 0; c < kOnlineColumns; ++c) top.v[c] = max_number(top.v[c], z[i].v[c]);
  }
  top.store(&largest[part][of_tile]);
  OnlineColumns earlier;
  if (has_earlier) earlier.load(p.t.block(plan.read_page_0, 0) + column);
  __syncthreads();

  // The maximum of all tokens, earlier ones included. All weights are relative to it.
#pragma unroll
  for (int c = 0; c < kOnlineColumns; ++c) {
#pragma unroll
    for (int i = 0; i < kParts; ++i) top.v[c] = max_number(top.v[c], largest[i][of_tile + c]);
    if (has_earlier) top.v[c] = max_number(top.v[c], earlier.v[c]);
    float sum = 0.0f, product = 0.0f;
#pragma unroll
    for (int i = 0; i < kPlacesOfPart; ++i) {
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

  if (threadIdx.x >= kTile) return;
  const auto own = static_cast<int>(threadIdx.x);
  const float maximum = largest[0][own];
  float sum = sum_of_parts(weights, own), product = sum_of_parts(products, own);
  if (has_earlier) {
    const int at = tile + own;
    const float factor = __expf(__fsub_rn(p.t.block(plan.read_page_0, 0)[at], maximum));
    const float weight = __fmul_rn(p.t.block(plan.read_page_0, 1)[at], factor);
    sum = __fadd_rn(sum, weight);
    product = __fmaf_rn(p.t.block(plan.read_page_0, 2)[at], weight, product);
  }
  const float mean = __fdividef(product, sum);  // the fast division is valid here, because the sum is from 1 to 128
  if constexpr (kKeep) {
    p.t.block(plan.read_page_0, 0)[tile + own] = maximum;
    p.t.block(plan.read_page_0, 1)[tile + own] = sum;
    p.t.block(plan.read_page_0, 2)[tile + own] = mean;
  } else {
    p.t.output[segment * kOnlineHeadDim + tile + own] = mean;
  }
}

template <bool kKeep>
void launch(const OnlineTensors& t, const TensorView& plan, DLDevice device) {
  if (plan.size(0) == 0) return;
  Launch{.name = "compress_c128_online_prefill",
         .device = device,
         .grid = grid_of(plan.size(0) * kTiles, "compress_c128_online_prefill"),
         .block = dim3(kThreads)}(online_prefill_kernel<kKeep>,
                                  OnlinePrefillParams{t, data_of<const CompressPlan>(plan)});
}

void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  ArgumentCheck check("compress_c128_online_prefill");
  Size tokens("tokens"), entries("entries"), writes("segments to keep");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(CompressPlan));
  check.tensor("plan_c", plan_c).dtype({kUint8}).shape({entries, kBytes}).on_cuda().contiguous().aligned(kBytes);
  check.tensor("plan_w", plan_w).dtype({kUint8}).shape({writes, kBytes}).on_cuda().contiguous().aligned(kBytes);
  const OnlineTensors t = check_online_tensors(check, kv_buffer, kv_input, kv_output, ape, tokens, entries);
  check.require(writes.value() <= tokens.value(), "plan_w",
                "must have at most " + std::to_string(tokens.value()) +
                    " rows, the number of tokens of the batch, got " + std::to_string(writes.value()));
  launch<false>(t, plan_c, check.device());
  launch<true>(t, plan_w, check.device());
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(prefill, dsv4::prefill, "compress_c128_online_prefill", "compress_c128_online_prefill/1",
           "head_dim=512;state=f32");
