/// Functions that make calls of the planners and of paged_compress_data.
#pragma once

#include "harness/generate/batch.h"
#include "harness/op/op.h"
#include "harness/op/records.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// Bytes of host scratch that a prefill planner needs for each token: one record of each plan.
inline constexpr std::int64_t kPinBytes = sizeof(layout::CompressPlan) + sizeof(layout::WritePlan);

/// How `plan_prefill` is called, apart from its batch and maps.
struct PrefillPlanForm {
  std::int64_t ratio = 4;
  bool lens_on_device = false;
  bool use_cuda_graph = false;
  std::int64_t num_q = -1;  ///< rows of the batch, padding included; -1: its number of tokens
};

/// A call of `plan_prefill`, which finds state rows through the sliding-window cache.
inline Call prefill_plan_call(const PrefillPlanForm& form, const Batch& batch, const CacheMaps& maps) {
  const std::int64_t num_q = form.num_q < 0 ? batch.tokens() : form.num_q;
  // The reference gets all tensors in host memory. An empty scratch means: make the plan for lengths on the device.
  const HostTensor pin = HostTensor::make(DType::kU8, {form.lens_on_device ? 0 : kPinBytes * num_q});
  Call call = call_of("plan_prefill", {numbers(batch.request_ids), maps.req_to_token, maps.full_to_swa,
                                       numbers(batch.seq_lens), numbers(batch.extend_lens), pin, num_q, form.ratio,
                                       maps.page_size, maps.ring_size, form.use_cuda_graph});
  for (const char* name : {"seq_lens", "extend_lens"}) {
    call.arg(name).place = form.lens_on_device ? Place::kDevice : Place::kHost;
  }
  return call;
}

/// A call of `plan_decode`, which finds state rows through the sliding-window cache.
inline Call decode_plan_call(std::int64_t ratio, const Batch& batch, const CacheMaps& maps) {
  return call_of("plan_decode", {numbers(batch.request_ids), maps.req_to_token, maps.full_to_swa,
                                 numbers(batch.seq_lens), ratio, maps.page_size, maps.ring_size});
}

/// A call of `plan_compress_prefill` (V1). The lengths and the plans are all on the device, or all on the host.
inline Call token_plan_call(std::int64_t ratio, bool on_device, bool use_cuda_graph, std::int64_t rows,
                            const Batch& batch) {
  const HostTensor plan = HostTensor::make(DType::kU8, {rows, sizeof(layout::TokenPlan)});
  Call call = call_of("plan_compress_prefill", {numbers(batch.extend_lens), numbers(batch.seq_lens), plan, plan, ratio,
                                                ratio == 4, use_cuda_graph});
  for (const char* name : {"extend_lens", "seq_lens", "compress_plan", "write_plan"}) {
    call.arg(name).place = on_device ? Place::kDevice : Place::kHost;
  }
  return call;
}

/// A call of `paged_compress_data`, whose ids, lengths and counts have this dtype.
inline Call paged_compress_data_call(std::int64_t ratio, const Batch& batch, const CacheMaps& maps,
                                     DType dtype = DType::kI64) {
  return call_of("paged_compress_data",
                 {numbers(batch.request_ids, dtype), numbers(batch.seq_lens, dtype), numbers(batch.extend_lens, dtype),
                  maps.req_to_token, maps.full_to_swa, ratio, maps.page_size, maps.ring_size});
}

/// A call of `plan_prefill_legacy`: lengths on the host, and a ring of state rows for each request.
inline Call legacy_prefill_plan_call(std::int64_t ratio, bool use_cuda_graph, const Batch& batch) {
  const std::int64_t num_q = batch.tokens();
  return call_of("plan_prefill_legacy",
                 {numbers(batch.request_ids), numbers(batch.seq_lens), numbers(batch.extend_lens),
                  HostTensor::make(DType::kU8, {kPinBytes * num_q}), num_q, ratio, use_cuda_graph});
}

/// A call of `plan_decode_legacy`: a ring of state rows for each request.
inline Call legacy_decode_plan_call(std::int64_t ratio, const Batch& batch) {
  return call_of("plan_decode_legacy", {numbers(batch.request_ids), numbers(batch.seq_lens), ratio});
}

}  // namespace dsv4
