/// Makes the V2 plans of a prefill batch (interface/compress_plan.h). Both planners use it: plan_prefill and
/// plan_prefill_legacy. It checks the arguments, computes the sizes, and launches one kernel, which fills both plans
/// and computes the state rows.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/container/tuple.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "interface/compress_plan.h"
#include "kernels/common/check.h"
#include "kernels/common/launch.h"
#include "kernels/compress/host_lengths.h"
#include "kernels/compress/plan_rows.cuh"

namespace dsv4 {

using ::tvm::ffi::Tensor;
using PrefillPlans = ::tvm::ffi::Tuple<Tensor, Tensor>;

/// Largest number of tokens of a batch. A CompressPlan stores the number of a token in 16 bits.
inline constexpr std::int64_t kMaxQueryTokens = 65535;

inline constexpr std::int64_t kPinBytesPerToken = sizeof(layout::CompressPlan) + sizeof(layout::WritePlan);

inline Tensor new_tensor(std::int64_t rows, std::int64_t columns, DLDataType dtype, DLDevice device) {
  const std::int64_t shape[] = {rows, columns};
  return Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, ::tvm::ffi::ShapeView(shape, 2), dtype, device);
}

/// Writes the rows of both plans.
template <class Address>
struct PrefillPlanWriter {
  layout::CompressPlan* compress;
  layout::WritePlan* write;
  std::uint32_t entry_rows;
  std::uint32_t kept_rows;
  const std::int64_t* request_ids;
  std::int32_t ratio;
  Address address;

  DSV4_DEVICE void entry(std::uint32_t row, const PlanToken& token) const {
    const std::int64_t request_id = request_ids[token.request];
    const std::int32_t newest = address.row(request_id, token.position);
    if (newest < 0) return no_entry(row);  // the token is not in the maps
    const std::int32_t before = address.row(request_id, token.position > ratio ? token.position - ratio : 0);
    compress[row] = {static_cast<std::uint32_t>(token.position + 1), static_cast<std::uint16_t>(token.ragged),
                     static_cast<std::uint16_t>(token.window_before_batch), before > 0 ? before / ratio : 0,
                     newest / ratio};
  }
  DSV4_DEVICE void no_entry(std::uint32_t row) const { compress[row] = {layout::kNoEntry, 0, 0, -1, -1}; }
  DSV4_DEVICE void kept(std::uint32_t row, const PlanToken& token) const {
    const std::int32_t location = address.row(request_ids[token.request], token.position);
    if (location < 0) return not_kept(row);  // the token is not in the maps
    write[row] = {token.ragged, location};
  }
  DSV4_DEVICE void not_kept(std::uint32_t row) const { write[row] = {layout::kNoEntry, -1}; }
};

inline constexpr int kPlanThreads = 256;

template <class Address>
__global__ void __launch_bounds__(kPlanThreads)
    prefill_plan_kernel(const __grid_constant__ PlanBatch batch,
                        const __grid_constant__ PrefillPlanWriter<Address> writer) {
  wait_for_previous_kernel();
  fill_plan_row<kPlanThreads>(batch, blockIdx.x * kPlanThreads + threadIdx.x, writer);
}

/// The arguments of a planner call. The tensors have been checked.
struct PrefillPlanCall {
  const char* op;
  DLDevice device;
  const std::int64_t* request_ids;
  const std::int64_t* seq_lens;     ///< on the device or on the host
  const std::int64_t* extend_lens;  ///< in the same memory as seq_lens
  bool lengths_on_host;
  void* pin_buffer;  ///< host memory; at least kPinBytesPerToken bytes per query token if the lengths are on the host
  std::int64_t requests;
  std::int64_t query_tokens;
  bool padded;  ///< if true, each plan has query_tokens rows, even if the batch needs fewer
};

/// Returns the numbers of rows that the two plans need. The lengths must be on the host.
inline std::pair<std::int64_t, std::int64_t> count_rows(const PrefillPlanCall& call, const SetRule& rule) {
  std::int64_t entries = 0, kept = 0;
  for (std::int64_t b = 0; b < call.requests; ++b) {
    const RequestSets sets = request_sets(rule, call.seq_lens[b], call.extend_lens[b]);
    entries += sets.entries;
    kept += sets.kept;
  }
  return {entries, kept};
}

/// Makes both plans on the device. Lengths on the host are first copied to the pinned buffer, and from there
/// asynchronously to the device. The caller must not write to the buffer before the stream has executed that copy.
template <class Address>
PrefillPlans make_prefill_plans(const ArgumentCheck& check, const PrefillPlanCall& call, const SetRule& rule,
                                const Address& address) {
  std::int64_t entry_rows = call.query_tokens, kept_rows = call.query_tokens;
  if (call.lengths_on_host) {
    check_host_lengths(check, call.seq_lens, call.extend_lens, call.requests, call.query_tokens);
    if (!call.padded) std::tie(entry_rows, kept_rows) = count_rows(call, rule);
  }
  Tensor compress = new_tensor(entry_rows, sizeof(layout::CompressPlan), kUint8, call.device);
  Tensor write = new_tensor(kept_rows, sizeof(layout::WritePlan), kUint8, call.device);
  if (entry_rows == 0 && kept_rows == 0) return PrefillPlans(std::move(compress), std::move(write));

  PlanBatch batch{call.seq_lens, call.extend_lens, static_cast<std::int32_t>(call.requests),
                  static_cast<std::uint32_t>(call.query_tokens), rule};
  Tensor lengths;  // freed after the launch; the environment's allocator reuses memory in stream order
  if (call.lengths_on_host) {
    const std::size_t bytes = static_cast<std::size_t>(call.requests) * sizeof(std::int64_t);
    auto* staged = static_cast<char*>(call.pin_buffer);  // uses 16 bytes per request, and there are at least 24
    std::memcpy(staged, call.seq_lens, bytes);
    std::memcpy(staged + bytes, call.extend_lens, bytes);
    lengths = new_tensor(2, call.requests, kInt64, call.device);
    const DeviceScope scope(call.device.device_id);
    throw_on_cuda_error(
        cudaMemcpyAsync(lengths.data_ptr(), staged, 2 * bytes, cudaMemcpyHostToDevice, current_stream(call.device)),
        call.op);
    batch.seq_lens = static_cast<const std::int64_t*>(lengths.data_ptr());
    batch.extend_lens = batch.seq_lens + call.requests;
  }
  const PrefillPlanWriter<Address> writer{static_cast<layout::CompressPlan*>(compress.data_ptr()),
                                          static_cast<layout::WritePlan*>(write.data_ptr()),
                                          static_cast<std::uint32_t>(entry_rows),
                                          static_cast<std::uint32_t>(kept_rows),
                                          call.request_ids,
                                          rule.ratio,
                                          address};
  const auto blocks = ceil_div<std::int64_t>(std::max(entry_rows, kept_rows), kPlanThreads);
  Launch{.name = call.op,
         .device = call.device,
         .grid = grid_of(blocks, call.op),
         .block = dim3(kPlanThreads),
         .overlap_previous = !call.lengths_on_host}(prefill_plan_kernel<Address>, batch, writer);
  return PrefillPlans(std::move(compress), std::move(write));
}

/// Checks the arguments that both planners have. If `device_lengths` is false, the lengths must be on the host. If it
/// is true, they may also be on the device, and `lengths_on_host` says where seq_lens is.
inline PrefillPlanCall check_prefill_call(ArgumentCheck& check, const char* op, const TensorView& req_pool_indices,
                                          const TensorView& seq_lens, const TensorView& extend_lens,
                                          const TensorView& pin_buffer, std::int64_t num_q_tokens, bool use_cuda_graph,
                                          bool device_lengths) {
  Size requests("requests");
  check.tensor("req_pool_indices", req_pool_indices).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  const bool on_host = !device_lengths || seq_lens.device().device_type != kDLCUDA;
  auto seq = check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).contiguous();
  auto extend = check.tensor("extend_lens", extend_lens).dtype({kInt64}).shape({requests}).contiguous();
  on_host ? seq.on_host() : seq.on_cuda();
  on_host ? extend.on_host() : extend.on_cuda();
  check.tensor("pin_buffer", pin_buffer).dtype({kUint8}).shape({kAnySize}).on_host().contiguous();
  check.require(num_q_tokens >= requests.value() && num_q_tokens <= kMaxQueryTokens, "num_q_tokens", "must lie in [",
                requests.value(), ", ", kMaxQueryTokens, "], where ", requests.value(),
                " is the number of requests, got ", num_q_tokens);
  check.require(!on_host || pin_buffer.numel() >= num_q_tokens * kPinBytesPerToken, "pin_buffer", "must have at least ",
                num_q_tokens * kPinBytesPerToken, " bytes, got ", pin_buffer.numel());
  return {.op = op,
          .device = check.device(),
          .request_ids = data_of<const std::int64_t>(req_pool_indices),
          .seq_lens = data_of<const std::int64_t>(seq_lens),
          .extend_lens = data_of<const std::int64_t>(extend_lens),
          .lengths_on_host = on_host,
          .pin_buffer = data_of<char>(pin_buffer),
          .requests = requests.value(),
          .query_tokens = num_q_tokens,
          .padded = use_cuda_graph || !on_host};
}

}  // namespace dsv4
