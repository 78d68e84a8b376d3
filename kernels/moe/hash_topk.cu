/// hash_topk: looks up the experts of each token by token id, and weights them with the router's logits.
///
///     hash_topk(router_logits, input_id, tid2eid, topk_weights, topk_ids, routed_scaling_factor)
///
/// | argument      | shape    | dtype   | |
/// |---------------|----------|---------|-|
/// | router_logits | [N, E]   | float32 | contiguous |
/// | input_id      | [N]      | int64   | contiguous |
/// | tid2eid       | [V, K]   | int32   | contiguous; the experts of each token id |
/// | topk_weights  | [N, K+s] | float32 | contiguous, out |
/// | topk_ids      | [N, K+s] | int32   | contiguous, out; K + s <= 32 |
///
/// For token n and j < K, let e_j = tid2eid[input_id[n], j] and w_j = sqrt(softplus(router_logits[n, e_j])). Then
/// topk_ids[n, j] = e_j and topk_weights[n, j] = w_j / W. W is the sum of w_0..w_{K-1}, added in the order of lanes_sum
/// (kernels/common/device.h). If every w_j underflows to 0, W is 0, and these weights are also 0. The s shared experts
/// come after the K routed experts. Shared expert t gets id E + t and weight 1 / routed_scaling_factor.
///
/// Ids are on the device, so the host cannot check them. If a token id is outside [0, V), the K routed columns of the
/// token get expert id -1 and weight 0. If an e_j is outside [0, E), it is still written to topk_ids, and w_j is 0. If
/// N = 0, no kernel is launched.
///
/// Each token has 8, 16 or 32 lanes of a warp: the smallest of these numbers that is at least K + s. Usually
/// K + s <= 8, and then a warp handles four tokens. Lanes without a routed expert add +0. So the sum has the same bits
/// for each of these numbers of lanes.

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;

struct HashTopkParams {
  const float* logits;
  const std::int64_t* token_ids;
  const std::int32_t* expert_of_token;
  float* weights;
  std::int32_t* ids;
  std::int64_t tokens;
  std::int64_t vocabulary;
  std::int64_t experts;
  int routed;   ///< K
  int columns;  ///< K + s
  float shared_weight;
};

/// Returns sqrt(softplus(x)), where softplus(x) = ln(1 + e^x). The form max(x, 0) + ln(1 + e^-|x|) cannot overflow. NaN
/// stays NaN.
DSV4_DEVICE float sqrt_softplus(float x) { return sqrtf(max_number(x, 0.0f) + log1pf(expf(-fabsf(x)))); }

template <int kLanes>
__global__ void __launch_bounds__(kThreads) hash_topk_kernel(const __grid_constant__ HashTopkParams p) {
  wait_for_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * (kThreads / kLanes) + threadIdx.x / kLanes;
  const bool live = token < p.tokens;

  std::int32_t expert = -1;
  float weight = 0.0f;
  bool known = false;
  if (live && lane < p.routed) {
    const std::int64_t id = p.token_ids[token];
    known = id >= 0 && id < p.vocabulary;
    if (known) {
      expert = p.expert_of_token[id * p.routed + lane];
      if (expert >= 0 && expert < p.experts) weight = sqrt_softplus(p.logits[token * p.experts + expert]);
    }
  }
  const float sum = lanes_sum<kLanes>(weight);  // all lanes must call it, even those beyond the last token
  if (!live || lane >= p.columns) return;
  const std::int64_t at = token * p.columns + lane;
  if (lane >= p.routed) {
    p.ids[at] = static_cast<std::int32_t>(p.experts) + lane - p.routed;
    p.weights[at] = p.shared_weight;
  } else {
    p.ids[at] = expert;
    p.weights[at] = known && sum != 0.0f ? __fdiv_rn(weight, sum) : 0.0f;
  }
}

void hash_topk(TensorView router_logits, TensorView input_id, TensorView tid2eid, TensorView topk_weights,
               TensorView topk_ids, double routed_scaling_factor) {
  ArgumentCheck check("hash_topk");
  Size tokens("tokens"), experts("experts"), vocabulary("vocabulary"), routed("routed experts per token"),
      columns("experts per token with shared ones");
  check.tensor("router_logits", router_logits).dtype({kFloat32}).shape({tokens, experts}).on_cuda().contiguous();
  check.tensor("input_id", input_id).dtype({kInt64}).shape({tokens}).on_cuda().contiguous();
  check.tensor("tid2eid", tid2eid).dtype({kInt32}).shape({vocabulary, routed}).on_cuda().contiguous();
  check.tensor("topk_weights", topk_weights).dtype({kFloat32}).shape({tokens, columns}).on_cuda().contiguous();
  check.tensor("topk_ids", topk_ids).dtype({kInt32}).shape({tokens, columns}).on_cuda().contiguous();
  check.require(columns.value() <= 32, "topk_ids", "at most 32 columns are supported, got ", columns.value());
  check.require(routed.value() <= columns.value(), "tid2eid", "size ", routed.value(),
                " of dimension 1 must be at most ", columns.value(), ", the size of 'topk_ids' in dimension 1");
  if (tokens.value() == 0 || columns.value() == 0) return;

  const HashTopkParams params{
      .logits = data_of<const float>(router_logits),
      .token_ids = data_of<const std::int64_t>(input_id),
      .expert_of_token = data_of<const std::int32_t>(tid2eid),
      .weights = data_of<float>(topk_weights),
      .ids = data_of<std::int32_t>(topk_ids),
      .tokens = tokens.value(),
      .vocabulary = vocabulary.value(),
      .experts = experts.value(),
      .routed = static_cast<int>(routed.value()),
      .columns = static_cast<int>(columns.value()),
      .shared_weight = 1.0f / static_cast<float>(routed_scaling_factor),
  };
  const int lanes = params.columns <= 8 ? 8 : params.columns <= 16 ? 16 : 32;
  const auto kernel = lanes == 8 ? hash_topk_kernel<8> : lanes == 16 ? hash_topk_kernel<16> : hash_topk_kernel<32>;
  const auto blocks = ceil_div<std::int64_t>(params.tokens, kThreads / lanes);
  Launch{.name = "hash_topk", .device = check.device(), .grid = grid_of(blocks, "hash_topk"), .block = dim3(kThreads)}(
      kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(hash_topk, dsv4::hash_topk, "hash_topk", "hash_topk/1", "");
