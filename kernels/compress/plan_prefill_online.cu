/// plan_prefill_online: makes the online plans (V2, interface/compress_plan.h) of a prefill batch. The slot of a group
/// of 128 tokens is the page of the sliding-window cache that holds the group's first token.
///
///     plan_prefill(seq_lens, extend_lens, req_pool_indices, req_to_token, full_to_swa, plan_c_pin, plan_w_pin,
///                  plan_c_dev, plan_w_dev, swa_page_size) -> (n_c, n_w)
///
/// | argument               | shape         | dtype | |
/// |------------------------|---------------|-------|-|
/// | seq_lens, extend_lens  | [B]           | int64 | on the host, per request: length, and tokens in the batch |
/// | req_pool_indices       | [B]           | int64 | row of each request in req_to_token |
/// | req_to_token           | [requests, T] | int32 | cache slot of each position |
/// | full_to_swa            | [slots]       | int64 | for each cache slot, its slot in the sliding-window cache |
/// | plan_c_pin, plan_w_pin | [num_q, 16]   | uint8 | pinned host memory for temporary data |
/// | plan_c_dev             | [num_q, 16]   | uint8 | out: CompressPlan of each segment that completes its group |
/// | plan_w_dev             | [num_q, 16]   | uint8 | out: CompressPlan of each segment whose group stays open |
///
/// A segment is a run of new tokens of one request in one group. Both plans are in token order. n_c and n_w are the
/// numbers of their records; the other rows are not written. Each of extend_lens must be from 1 to the request's
/// length, and their sum must be num_q, which is at most 65536.
///
/// Ids and maps are on the device, so the host cannot check their contents. If the first token of a segment's group is
/// outside the maps, a sentinel takes the place of the segment. It is a record that is marked as empty.

#include <tvm/ffi/container/tuple.h>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/common/launch.h"
#include "kernels/compress/host_lengths.h"
#include "kernels/compress/online_segments.h"
#include "kernels/compress/online_slot.cuh"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using Counts = ::tvm::ffi::Tuple<std::int64_t, std::int64_t>;

constexpr std::int64_t kMostTokens = 65536;  // a CompressPlan stores the number of a token in 16 bits
constexpr int kThreads = 128;

struct OnlinePlanParams {
  CompressPlan* plan_c;
  CompressPlan* plan_w;
  std::uint32_t entries;
  std::uint32_t writes;
  const std::int64_t* request_ids;
  SwaAddress address;
};

/// Replaces the request of each record by the slot of its group.
__global__ void __launch_bounds__(kThreads) online_plan_kernel(const __grid_constant__ OnlinePlanParams p) {
  wait_for_previous_kernel();
  const std::uint32_t row = blockIdx.x * kThreads + threadIdx.x;
  if (row >= p.entries + p.writes) return;
  CompressPlan* record = row < p.entries ? p.plan_c + row : p.plan_w + (row - p.entries);
  CompressPlan plan = *record;
  const std::int64_t request_id = p.request_ids[plan.read_page_0];
  plan.read_page_0 = online_slot(p.address, request_id, static_cast<std::int32_t>(plan.seq_len - 1));
  if (plan.read_page_0 < 0) plan = {layout::kNoEntry, 0, 0, -1, -1};
  *record = plan;
}

Counts plan_prefill(TensorView seq_lens, TensorView extend_lens, TensorView req_pool_indices, TensorView req_to_token,
                    TensorView full_to_swa, TensorView plan_c_pin, TensorView plan_w_pin, TensorView plan_c_dev,
                    TensorView plan_w_dev, std::int64_t swa_page_size) {
  ArgumentCheck check("plan_prefill_online");
  Size requests("requests"), rows("query tokens");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(CompressPlan));
  check.tensor("seq_lens", seq_lens).dtype({kInt64}).shape({requests}).on_host().contiguous();
  check.tensor("extend_lens", extend_lens).dtype({kInt64}).shape({requests}).on_host().contiguous();
  check.tensor("req_pool_indices", req_pool_indices).dtype({kInt64}).shape({requests}).on_cuda().contiguous();
  const SwaAddress address = online_address(check, req_to_token, full_to_swa, swa_page_size);
  const auto plan = [&](const char* name, const TensorView& tensor) {
    return check.tensor(name, tensor).dtype({kUint8}).shape({rows, kBytes}).contiguous().aligned(kBytes);
  };
  plan("plan_c_pin", plan_c_pin).on_host();
  plan("plan_w_pin", plan_w_pin).on_host();
  plan("plan_c_dev", plan_c_dev).on_cuda();
  plan("plan_w_dev", plan_w_dev).on_cuda();
  check.require(rows.value() <= kMostTokens, "plan_c_pin", "must have at most ", kMostTokens, " rows, got ",
                rows.value());
  const auto* lengths = data_of<const std::int64_t>(seq_lens);
  const auto* new_tokens = data_of<const std::int64_t>(extend_lens);
  check_host_lengths(check, lengths, new_tokens, requests.value(), rows.value());

  // The records are made on the host. There each record names the request in the place of the slot.
  auto* staged_c = data_of<CompressPlan>(plan_c_pin);
  auto* staged_w = data_of<CompressPlan>(plan_w_pin);
  std::int64_t n_c = 0, n_w = 0;
  for_each_segment(lengths, new_tokens, requests.value(), [&](const OnlineSegment& s) {
    (s.completes ? staged_c[n_c++] : staged_w[n_w++]) = {
        static_cast<std::uint32_t>(s.position + 1), static_cast<std::uint16_t>(s.last),
        static_cast<std::uint16_t>(s.tokens), static_cast<std::int32_t>(s.request), -1};
  });
  const Counts counts(n_c, n_w);
  if (n_c + n_w == 0) return counts;

  const OnlinePlanParams params{data_of<CompressPlan>(plan_c_dev),
                                data_of<CompressPlan>(plan_w_dev),
                                static_cast<std::uint32_t>(n_c),
                                static_cast<std::uint32_t>(n_w),
                                data_of<const std::int64_t>(req_pool_indices),
                                address};
  const auto copy = [&](CompressPlan* to, const CompressPlan* from, std::int64_t records) {
    if (records == 0) return;
    const DeviceScope scope(check.device().device_id);
    throw_on_cuda_error(cudaMemcpyAsync(to, from, static_cast<std::size_t>(records * kBytes), cudaMemcpyHostToDevice,
                                        current_stream(check.device())),
                        "plan_prefill_online");
  };
  copy(params.plan_c, staged_c, n_c);
  copy(params.plan_w, staged_w, n_w);
  Launch{.name = "plan_prefill_online",
         .device = check.device(),
         .grid = grid_of(ceil_div<std::int64_t>(n_c + n_w, kThreads), "plan_prefill_online"),
         .block = dim3(kThreads),
         .overlap_previous = false}(online_plan_kernel, params);
  return counts;
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(plan_prefill, dsv4::plan_prefill, "plan_prefill_online", "plan_prefill_online/1", "");
