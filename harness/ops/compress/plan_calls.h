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

/// Parameters of a planner over the sliding-window address: the ratio, and how the cache pages lie.
inline Space swa_space() {
  ParamSpec page = word("page", {"16", "64", "128", "256"}, "tokens per page of the sliding-window cache");
  page.usual = "256";
  return {word("ratio", {"4", "128"}, "tokens per compressed entry"),
          word("ring", {"8", "16", "128", "256"}, "state rows per cache page"), std::move(page),
          word("pages", {"shuffled", "in_order"}, "order of the cache pages")};
}

/// Why the sizes of swa_space() do not fit together; nullopt if they do.
inline std::optional<std::string> reject_ring(const Params& p) {
  if (p.integer("ring") % p.integer("ratio") != 0) return "the ring must be a multiple of the ratio";
  if (p.integer("page") % p.integer("ring") != 0) return "the cache page must be a multiple of the ring";
  return std::nullopt;
}

/// Why a plan cannot number the tokens of a prefill batch, and the rows beyond them; nullopt if it can.
inline std::optional<std::string> reject_plan_tokens(const Params& p) {
  const std::int64_t most = p.integer("batch") * p.integer("extend") + (p.is("mix", "last_differs") ? 1 : 0);
  if (most + (p.has("slack") ? p.integer("slack") : 0) <= kMostPlanTokens) return std::nullopt;
  return "a plan numbers at most " + std::to_string(kMostPlanTokens) + " tokens";
}

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
  // An empty scratch is how a reference, which sees every tensor on the CPU, is asked for the plan made on a device.
  const HostTensor pin = HostTensor::make(DType::kU8, {form.lens_on_device ? 0 : kPinBytes * num_q});
  Call call = call_of("plan_prefill", {numbers(batch.request_ids), maps.req_to_token, maps.full_to_swa,
                                       numbers(batch.seq_lens), numbers(batch.extend_lens), pin, num_q, form.ratio,
                                       maps.page_size, maps.ring_size, form.use_cuda_graph});
  for (const char* name : {"seq_lens", "extend_lens"}) {
    call.arg(name).place = form.lens_on_device ? Place::kDevice : Place::kHost;
  }
  return call;
}

/// `plan_decode` over the sliding-window address.
inline Call decode_plan_call(std::int64_t ratio, const Batch& batch, const CacheMaps& maps) {
  return call_of("plan_decode", {numbers(batch.request_ids), maps.req_to_token, maps.full_to_swa,
                                 numbers(batch.seq_lens), ratio, maps.page_size, maps.ring_size});
}

/// `plan_prefill_legacy`: lengths on the host, a ring of rows for each request.
inline Call legacy_prefill_plan_call(std::int64_t ratio, bool use_cuda_graph, const Batch& batch) {
  const std::int64_t num_q = batch.tokens();
  return call_of("plan_prefill_legacy",
                 {numbers(batch.request_ids), numbers(batch.seq_lens), numbers(batch.extend_lens),
                  HostTensor::make(DType::kU8, {kPinBytes * num_q}), num_q, ratio, use_cuda_graph});
}

/// `plan_decode_legacy`.
inline Call legacy_decode_plan_call(std::int64_t ratio, const Batch& batch) {
  return call_of("plan_decode_legacy", {numbers(batch.request_ids), numbers(batch.seq_lens), ratio});
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

/// Makes the number of rows and the scratch of a prefill planner fit its counts of new tokens (Op::fit).
inline void fit_prefill_plan(Call& call) {
  const std::int64_t tokens = batch_of(call).tokens();
  call.arg("num_q_tokens").value = tokens;
  call.arg("pin_buffer").value = HostTensor::make(DType::kU8, {kPinBytes * tokens});
}

/// A returned tensor; an error in the module's answer is an empty one, which the observer refuses by its form.
inline HostTensor returned_tensor(const CallResult& result, std::size_t index) {
  if (index < result.returned.size()) {
    if (const auto* t = std::get_if<HostTensor>(&result.returned[index])) return *t;
  }
  return HostTensor::make(DType::kF64, {0});
}

}  // namespace dsv4
