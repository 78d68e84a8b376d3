/// Calls of the V2 planners on a batch, and the batch of such a call.
#pragma once

#include "harness/op/op.h"
#include "harness/ops/compress/batch.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// A CompressPlan numbers tokens by 16 bits.
inline constexpr std::int64_t kMostPlanTokens = 65535;

/// Host scratch of a prefill planner: one record of both plans for each query token.
inline constexpr std::int64_t kPinBytes = sizeof(layout::CompressPlan) + sizeof(layout::WritePlan);

/// How `plan_prefill` is called, apart from its batch.
struct PrefillPlanForm {
  std::int64_t ratio = 4;
  bool lens_on_device = false;
  bool use_cuda_graph = false;
  std::int64_t num_q = -1;  ///< rows of the batch; -1: as many as it has tokens

  [[nodiscard]] bool padded() const { return lens_on_device || use_cuda_graph; }
};

/// `plan_prefill` over the sliding-window address.
inline Call prefill_plan_call(const PrefillPlanForm& form, const Batch& batch, const CacheMaps& maps) {
  const std::int64_t num_q = form.num_q < 0 ? batch.tokens() : form.num_q;
  const Place place = form.lens_on_device ? Place::kDevice : Place::kHost;
  // An empty scratch is how a reference, which sees every tensor on the CPU, is asked for the plan made on a device.
  const HostTensor pin = HostTensor::make(DType::kU8, {form.lens_on_device ? 0 : kPinBytes * num_q});
  return {"plan_prefill",
          "",
          {},
          {in("req_pool_indices", numbers(batch.request_ids)), in("req_to_token", maps.req_to_token),
           in("full_to_swa", maps.full_to_swa), in("seq_lens", numbers(batch.seq_lens), place),
           in("extend_lens", numbers(batch.extend_lens), place), workspace("pin_buffer", pin, Place::kHost),
           scalar("num_q_tokens", num_q), scalar("compress_ratio", form.ratio), scalar("swa_page_size", maps.page_size),
           scalar("ring_size", maps.ring_size), scalar("use_cuda_graph", form.use_cuda_graph)}};
}

/// `plan_decode` over the sliding-window address.
inline Call decode_plan_call(std::int64_t ratio, const Batch& batch, const CacheMaps& maps) {
  return {
      "plan_decode",
      "",
      {},
      {in("req_pool_indices", numbers(batch.request_ids)), in("req_to_token", maps.req_to_token),
       in("full_to_swa", maps.full_to_swa), in("seq_lens", numbers(batch.seq_lens)), scalar("compress_ratio", ratio),
       scalar("swa_page_size", maps.page_size), scalar("ring_size", maps.ring_size)}};
}

/// `plan_prefill_legacy`: lengths on the host, a ring of rows for each request.
inline Call legacy_prefill_plan_call(std::int64_t ratio, bool use_cuda_graph, const Batch& batch) {
  const HostTensor pin = HostTensor::make(DType::kU8, {kPinBytes * batch.tokens()});
  return {"plan_prefill_legacy",
          "",
          {},
          {in("req_pool_indices", numbers(batch.request_ids)), in("seq_lens", numbers(batch.seq_lens), Place::kHost),
           in("extend_lens", numbers(batch.extend_lens), Place::kHost), workspace("pin_buffer", pin, Place::kHost),
           scalar("num_q_tokens", batch.tokens()), scalar("compress_ratio", ratio),
           scalar("use_cuda_graph", use_cuda_graph)}};
}

/// `plan_decode_legacy`.
inline Call legacy_decode_plan_call(std::int64_t ratio, const Batch& batch) {
  return {"plan_decode_legacy",
          "",
          {},
          {in("req_pool_indices", numbers(batch.request_ids)), in("seq_lens", numbers(batch.seq_lens)),
           scalar("compress_ratio", ratio)}};
}

/// State rows of a ring that belongs to a request.
inline std::int64_t legacy_ring_rows(std::int64_t ratio) { return ratio == 4 ? 8 : 128; }

/// The whole number of a scalar argument.
inline std::int64_t integer_of(const Call& call, std::string_view name) {
  return std::get<std::int64_t>(call.arg(name).value);
}

/// Rows that a V2 prefill planner is to return of each plan: those of the bucket where the plan is padded to it; -1: as
/// many as there are entries.
inline std::int64_t plan_rows(const Call& call) {
  const bool padded = call.arg("seq_lens").place == Place::kDevice || std::get<bool>(call.arg("use_cuda_graph").value);
  return padded ? integer_of(call, "num_q_tokens") : -1;
}

/// The elements of an i64 argument.
inline std::vector<std::int64_t> numbers_of(const Call& call, std::string_view name) {
  const HostTensor t = call.tensor(name).packed();
  return {t.data<std::int64_t>(), t.data<std::int64_t>() + t.numel()};
}

/// The batch of a planner's call; of a decode call, whose requests bring one token each, too.
inline Batch batch_of(const Call& call) {
  Batch batch{numbers_of(call, "req_pool_indices"), numbers_of(call, "seq_lens"), {}};
  for (const Arg& a : call.args) {
    if (a.name == "extend_lens") batch.extend_lens = numbers_of(call, "extend_lens");
  }
  if (batch.extend_lens.empty()) batch.extend_lens.assign(batch.seq_lens.size(), 1);
  return batch;
}

/// A returned tensor; an error in the module's answer is an empty one, which the observer refuses by its form.
inline HostTensor returned_tensor(const CallResult& result, std::size_t index) {
  if (index < result.returned.size()) {
    if (const auto* t = std::get_if<HostTensor>(&result.returned[index])) return *t;
  }
  return HostTensor::make(DType::kF64, {0});
}

}  // namespace dsv4
