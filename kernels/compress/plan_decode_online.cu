/// plan_decode_online: makes the online plan (V2, interface/compress_plan.h) of a decode step. The slot of a group of
/// 128 tokens is the page of the sliding-window cache that holds the group's first token.
///
///     plan_decode(seq_lens, req_pool_indices, req_to_token, full_to_swa, plan_d, swa_page_size)
///
/// | argument         | shape         | dtype | |
/// |------------------|---------------|-------|-|
/// | seq_lens         | [B]           | int64 | length of each request, new token included |
/// | req_pool_indices | [B]           | int64 | row of each request in req_to_token |
/// | req_to_token     | [requests, T] | int32 | cache slot of each position |
/// | full_to_swa      | [slots]       | int64 | for each cache slot, its slot in the sliding-window cache |
/// | plan_d           | [B, 16]       | uint8 | out: a DecodePlan per request |
///
/// All tensors are on the device, so the host cannot check their contents. If a length is below 1, or the first token
/// of the group is outside the maps, the request's row is layout::kNoRequest. If B = 0, no kernel is launched.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/online_slot.cuh"

namespace dsv4 {
namespace {

struct OnlineDecodePlanParams {
  layout::DecodePlan* plan;
  const std::int64_t* request_ids;
  const std::int64_t* seq_lens;
  std::int64_t requests;
  SwaAddress address;
};

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    online_decode_plan_kernel(const __grid_constant__ OnlineDecodePlanParams p) {
  wait_for_previous_kernel();
  const std::int64_t request = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (request >= p.requests) return;
  const std::int64_t length = p.seq_lens[request];
  layout::DecodePlan plan{0, 0, 0, 0};
  if (length > 0 && length <= kLargestRow) {
    const std::int32_t slot = online_slot(p.address, p.request_ids[request], static_cast<std::int32_t>(length - 1));
    if (slot >= 0) plan = {static_cast<std::uint32_t>(length), slot, slot, -1};
  }
  p.plan[request] = plan;
}

void plan_decode(TensorView seq_lens, TensorView req_pool_indices, TensorView req_to_token, TensorView full_to_swa,
                 TensorView plan_d, std::int64_t swa_page_size) {
  ArgumentCheck check("plan_decode_online");
  Size requests("requests");
  check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  check.tensor("req_pool_indices", req_pool_indices).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  const SwaAddress address = online_address(check, req_to_token, full_to_swa, swa_page_size);
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::DecodePlan));
  check.tensor("plan_d", plan_d).dtype({kUint8}).shape({requests, kBytes}).on_cuda().contiguous().aligned(kBytes);
  if (requests.value() == 0) return;

  const OnlineDecodePlanParams params{data_of<layout::DecodePlan>(plan_d),
                                      data_of<const std::int64_t>(req_pool_indices),
                                      data_of<const std::int64_t>(seq_lens), requests.value(), address};
  Launch{.name = "plan_decode_online",
         .device = check.device(),
         .grid = grid_of(ceil_div<std::int64_t>(requests.value(), kThreads), "plan_decode_online"),
         .block = dim3(kThreads)}(online_decode_plan_kernel, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_decode, dsv4::plan_decode, "plan_decode_online", "plan_decode_online/1", "");
