/// mega_moe_pre_dispatch: prepares the tokens of a rank for the exchange between experts. It quantises them to E4M3
/// into a buffer of P slots, copies their routing, and blanks the routing of the slots without a token.
///
///     run_g<G>(x, topk_idx, topk_weights, buf_x, buf_x_sf, buf_topk_idx, buf_topk_weights)
///     G: elements that share a scale: 32, 64 or 128
///
/// | argument         | shape       | dtype        | |
/// |------------------|-------------|--------------|-|
/// | x                | [T, H]      | bfloat16     | contiguous; T <= P, H a multiple of 4G |
/// | topk_idx         | [T, K]      | int32        | contiguous; expert ids of each token, any values |
/// | topk_weights     | [T, K]      | float32      | contiguous |
/// | buf_x            | [P, H]      | int8 or E4M3 | contiguous, out; E4M3 codes in both cases |
/// | buf_x_sf         | [P, H / 4G] | int32        | contiguous, out; byte g of a row is the scale byte of group g |
/// | buf_topk_idx     | [P, K]      | int64        | contiguous, out |
/// | buf_topk_weights | [P, K]      | float32      | contiguous, out |
///
/// Token t goes into slot t. With a = max(1e-10, largest |v| of the group), byte = UE8M0(a / 448) and code =
/// E4M3(v * 2^(127 - byte)). NaN is ignored in the maximum and has the code of 448. Slots from T on get the ids -1 and
/// the weights 0; their rows of buf_x and buf_x_sf are not written. If P = 0, no kernel is launched.
///
/// Memory bandwidth limits the kernel: it moves about 3 H bytes for each token. A token has one block. Each thread
/// handles eight columns at a time, so a group is in 4, 8 or 16 neighbouring lanes. Further blocks blank the slots
/// without a token, one thread for each id.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

constexpr int kLaneColumns = 8;
constexpr int kParts = 2;  ///< packs of kLaneColumns that a thread loads before it uses them
constexpr int kMaxThreads = 512;
constexpr float kMinAmax = 1e-10f;

struct DispatchParams {
  const __nv_bfloat16* x;
  const std::int32_t* ids;
  const float* weights;
  std::uint8_t* codes_out;
  std::uint8_t* scales_out;
  std::int64_t* ids_out;
  float* weights_out;
  std::int64_t hidden;
  std::int64_t top_k;
  std::int64_t blank_ids;  ///< ids of the slots without a token
  unsigned tokens;
};

template <int kGroup, bool kWide>
DSV4_DEVICE void quantise_token(const DispatchParams& p, std::int64_t token) {
  constexpr int kGroupLanes = kGroup / kLaneColumns;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kLaneColumns;
  // All lanes of a warp do every step, because the maximum of a group is found by shuffles. The loads of a step are
  // issued together.
  for (std::int64_t begin = 0; begin < p.hidden; begin += kParts * step) {
    const std::int64_t first = begin + threadIdx.x * kLaneColumns;
    Pack<__nv_bfloat16, kLaneColumns, kWide> x[kParts];
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t column = first + part * step;
      if (column < p.hidden) x[part].load(p.x + token * p.hidden + column);
    }
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t column = first + part * step;
      const bool inside = column < p.hidden;
      float amax = kMinAmax;
      if (inside) {
#pragma unroll
        for (int c = 0; c < kLaneColumns; ++c) amax = max_number(amax, fabsf(to_float(x[part].v[c])));
      }
      const std::uint32_t byte = ue8m0_byte_of_amax(lanes_max<kGroupLanes>(amax));
      if (!inside) continue;
      const float inverse = ue8m0_inverse(byte);
      Pack<std::uint16_t, kLaneColumns / 2, kWide> codes;
#pragma unroll
      for (int c = 0; c < kLaneColumns / 2; ++c) {
        codes.v[c] = e4m3_codes(__fmul_rn(to_float(x[part].v[2 * c]), inverse),
                                __fmul_rn(to_float(x[part].v[2 * c + 1]), inverse));
      }
      store_bytes<kWide>(p.codes_out + token * p.hidden + column, codes);
      if (threadIdx.x % kGroupLanes == 0) {
        p.scales_out[token * (p.hidden / kGroup) + column / kGroup] = static_cast<std::uint8_t>(byte);
      }
    }
  }
}

template <int kGroup, bool kWide>
__global__ void __launch_bounds__(kMaxThreads) mega_moe_pre_dispatch_kernel(const __grid_constant__ DispatchParams p) {
  wait_for_previous_kernel();
  if (blockIdx.x < p.tokens) {
    const std::int64_t token = blockIdx.x;
    // The first ids and weights are loaded before the quantisation, so that the loads overlap.
    const std::int64_t first = token * p.top_k + threadIdx.x;
    const bool has_id = threadIdx.x < p.top_k;
    const std::int32_t id = has_id ? p.ids[first] : 0;
    const float weight = has_id ? p.weights[first] : 0.0f;
    quantise_token<kGroup, kWide>(p, token);
    if (has_id) {
      p.ids_out[first] = id;
      p.weights_out[first] = weight;
    }
    for (std::int64_t k = threadIdx.x + blockDim.x; k < p.top_k; k += blockDim.x) {
      p.ids_out[token * p.top_k + k] = p.ids[token * p.top_k + k];
      p.weights_out[token * p.top_k + k] = p.weights[token * p.top_k + k];
    }
  } else {
    const std::int64_t blank = static_cast<std::int64_t>(blockIdx.x - p.tokens) * blockDim.x + threadIdx.x;
    if (blank >= p.blank_ids) return;
    p.ids_out[p.tokens * p.top_k + blank] = -1;
    p.weights_out[p.tokens * p.top_k + blank] = 0.0f;
  }
}

template <int kGroup>
void run(TensorView x, TensorView topk_idx, TensorView topk_weights, TensorView buf_x, TensorView buf_x_sf,
         TensorView buf_topk_idx, TensorView buf_topk_weights) {
  ArgumentCheck check("mega_moe_pre_dispatch");
  Size tokens("tokens"), slots("slots"), hidden("hidden"), top_k("experts per token");
  check.tensor("x", x).dtype({kBfloat16}).shape({tokens, hidden}).on_cuda().contiguous();
  check.tensor("topk_idx", topk_idx).dtype({kInt32}).shape({tokens, top_k}).on_cuda().contiguous();
  check.tensor("topk_weights", topk_weights).dtype({kFloat32}).shape({tokens, top_k}).on_cuda().contiguous();
  check.tensor("buf_x", buf_x).dtype({kInt8, kFloat8E4m3}).shape({slots, hidden}).on_cuda().contiguous();
  check.require(tokens.value() <= slots.value(), "x", "at most ", slots.value(),
                " tokens fit into the slots of 'buf_x', got ", tokens.value());
  check.require(hidden.value() % (4 * kGroup) == 0, "x", "the number of columns must be a multiple of ", 4 * kGroup,
                ", got ", hidden.value());
  check.tensor("buf_x_sf", buf_x_sf)
      .dtype({kInt32})
      .shape({slots, hidden.value() / (4 * kGroup)})
      .on_cuda()
      .contiguous();
  check.tensor("buf_topk_idx", buf_topk_idx).dtype({kInt64}).shape({slots, top_k}).on_cuda().contiguous();
  check.tensor("buf_topk_weights", buf_topk_weights).dtype({kFloat32}).shape({slots, top_k}).on_cuda().contiguous();

  // A block has whole warps, because the lanes of a group must be in one warp.
  const std::int64_t threads = std::clamp<std::int64_t>(
      ceil_div<std::int64_t>(hidden.value(), 32 * kParts * kLaneColumns) * 32, 32, kMaxThreads);
  const std::int64_t blank_ids = (slots.value() - tokens.value()) * top_k.value();
  const std::int64_t blocks = tokens.value() + ceil_div(blank_ids, threads);
  if (blocks == 0) return;

  const DispatchParams params{
      .x = data_of<const __nv_bfloat16>(x),
      .ids = data_of<const std::int32_t>(topk_idx),
      .weights = data_of<const float>(topk_weights),
      .codes_out = data_of<std::uint8_t>(buf_x),
      .scales_out = data_of<std::uint8_t>(buf_x_sf),
      .ids_out = data_of<std::int64_t>(buf_topk_idx),
      .weights_out = data_of<float>(buf_topk_weights),
      .hidden = hidden.value(),
      .top_k = top_k.value(),
      .blank_ids = blank_ids,
      .tokens = static_cast<unsigned>(tokens.value()),
  };
  const bool wide = is_aligned(x, 16) && is_aligned(buf_x, 8);
  const auto kernel = wide ? mega_moe_pre_dispatch_kernel<kGroup, true> : mega_moe_pre_dispatch_kernel<kGroup, false>;
  Launch{.name = "mega_moe_pre_dispatch",
         .device = check.device(),
         .grid = grid_of(blocks, "mega_moe_pre_dispatch"),
         .block = dim3(static_cast<unsigned>(threads))}(kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run_g32, dsv4::run<32>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=32");
DSV4_ENTRY(run_g64, dsv4::run<64>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=64");
DSV4_ENTRY(run_g128, dsv4::run<128>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=128");
