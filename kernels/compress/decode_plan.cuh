/// Makes the V2 plan of a decode step (interface/compress_plan.h), with one thread per request. Both planners use it:
/// plan_decode and plan_decode_legacy.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>

#include "interface/compress_plan.h"
#include "kernels/common/check.h"
#include "kernels/common/launch.h"
#include "kernels/compress/state_address.cuh"

namespace dsv4 {

using ::tvm::ffi::Tensor;

template <class Address>
struct DecodePlanParams {
  layout::DecodePlan* plan;
  const std::int64_t* request_ids;
  const std::int64_t* seq_lens;
  std::int32_t requests;
  std::int32_t ratio;
  Address address;
};

inline constexpr int kDecodePlanThreads = 128;

template <class Address>
__global__ void __launch_bounds__(kDecodePlanThreads)
    decode_plan_kernel(const __grid_constant__ DecodePlanParams<Address> p) {
  wait_for_previous_kernel();
  const auto request = static_cast<std::int32_t>(blockIdx.x * kDecodePlanThreads + threadIdx.x);
  if (request >= p.requests) return;
  const std::int64_t request_id = p.request_ids[request];
  const std::int64_t length = p.seq_lens[request];
  // Lengths and maps are on the device, so the host cannot check them. If the token cannot be found, the row stays that
  // of a request without a token (layout::kNoRequest).
  layout::DecodePlan plan{0, 0, 0, 0};
  const bool has_token = length > 0 && length <= kLargestRow;
  const std::int32_t newest = has_token ? static_cast<std::int32_t>(length - 1) : -1;
  const std::int32_t row = p.address.row(request_id, newest);
  if (row >= 0) {
    const std::int32_t before = p.address.row(request_id, newest > p.ratio ? newest - p.ratio : 0);
    plan = {static_cast<std::uint32_t>(length), row, before > 0 ? before / p.ratio : 0, row / p.ratio};
  }
  p.plan[request] = plan;
}

/// Checks the arguments that both planners have. Returns the plan, `u8[B, 16]`.
template <class Address>
Tensor make_decode_plan(ArgumentCheck& check, const char* op, const TensorView& req_pool_indices,
                        const TensorView& seq_lens, std::int64_t ratio, const Address& address) {
  Size requests("requests");
  check.tensor("req_pool_indices", req_pool_indices).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  check.require(requests.value() <= 0x7FFFFFFF, "seq_lens", "at most 2^31 - 1 requests are supported, got ",
                requests.value());
  const std::int64_t shape[] = {requests.value(), static_cast<std::int64_t>(sizeof(layout::DecodePlan))};
  Tensor plan = Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, ::tvm::ffi::ShapeView(shape, 2), kUint8, check.device());
  if (requests.value() == 0) return plan;

  const DecodePlanParams<Address> params{static_cast<layout::DecodePlan*>(plan.data_ptr()),
                                         data_of<const std::int64_t>(req_pool_indices),
                                         data_of<const std::int64_t>(seq_lens),
                                         static_cast<std::int32_t>(requests.value()),
                                         static_cast<std::int32_t>(ratio),
                                         address};
  const auto blocks = ceil_div<std::int64_t>(requests.value(), kDecodePlanThreads);
  Launch{.name = op, .device = check.device(), .grid = grid_of(blocks, op), .block = dim3(kDecodePlanThreads)}(
      decode_plan_kernel<Address>, params);
  return plan;
}

}  // namespace dsv4
