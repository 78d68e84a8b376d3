/// Small calls for the tests of the references of online compression. An entry has two columns, and its numbers can be
/// computed by hand.
#pragma once

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "harness/generate/random.h"
#include "harness/ops/compress/plan_rows.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {

inline constexpr std::int64_t kColumns = 2;  // the references accept any head dimension

/// The three numbers of a column of a slot.
struct SlotColumn {
  float max;
  float sum;
  float mean;
};

inline SlotColumn column_of(const HostTensor& state, std::int64_t slot, std::int64_t d) {
  return {state.at<float>(slot, 0, d), state.at<float>(slot, 0, kColumns + d),
          state.at<float>(slot, 0, 2 * kColumns + d)};
}
inline void set_column(HostTensor& state, std::int64_t slot, std::int64_t d, const SlotColumn& c) {
  state.at<float>(slot, 0, d) = c.max;
  state.at<float>(slot, 0, kColumns + d) = c.sum;
  state.at<float>(slot, 0, 2 * kColumns + d) = c.mean;
}

/// A state of `slots` slots whose values are all NaN.
inline HostTensor empty_slots(std::int64_t slots) {
  HostTensor state = HostTensor::make(DType::kF32, {slots, 1, 3 * kColumns});
  fill_floats(state, [] { return std::nanf(""); });
  return state;
}

/// Both columns of token t have this kv and this score.
inline void set_token(HostTensor& input, std::int64_t t, float kv, float score) {
  for (std::int64_t d = 0; d < kColumns; ++d) {
    input.at<float>(t, d) = kv;
    input.at<float>(t, kColumns + d) = score;
  }
}

inline Call online_decode_of(std::int64_t slots, const std::vector<layout::DecodePlan>& plan) {
  const std::int64_t requests = std::ssize(plan);
  return {
      "compress_c128_online_decode",
      "",
      {},
      {inout("kv_buffer", empty_slots(slots)), in("kv_input", HostTensor::make(DType::kF32, {requests, 2 * kColumns})),
       out("kv_output", HostTensor::make(DType::kF32, {requests, kColumns})),
       in("ape", HostTensor::make(DType::kF32, {128, kColumns})), in("plan_d", plan_tensor(plan))}};
}

inline Call online_prefill_of(std::int64_t slots, std::int64_t tokens, const std::vector<layout::CompressPlan>& plan_c,
                              const std::vector<layout::CompressPlan>& plan_w) {
  return {
      "compress_c128_online_prefill",
      "",
      {},
      {inout("kv_buffer", empty_slots(slots)), in("kv_input", HostTensor::make(DType::kF32, {tokens, 2 * kColumns})),
       out("kv_output", HostTensor::make(DType::kF32, {std::ssize(plan_c), kColumns})),
       in("ape", HostTensor::make(DType::kF32, {128, kColumns})), in("plan_c", plan_tensor(plan_c)),
       in("plan_w", plan_tensor(plan_w))}};
}

/// Numbers i32 [n].
inline HostTensor i32s(const std::vector<std::int32_t>& numbers) { return HostTensor::of(DType::kI32, numbers); }

inline Call online_decode_v1_of(std::int64_t slots, const std::vector<std::int32_t>& indices,
                                const std::vector<std::int32_t>& lengths) {
  const std::int64_t requests = std::ssize(indices);
  return {
      "compress_c128_online_decode_v1",
      "",
      {},
      {inout("kv_buffer", empty_slots(slots)), in("kv_input", HostTensor::make(DType::kF32, {requests, 2 * kColumns})),
       out("kv_output", HostTensor::make(DType::kF32, {requests, kColumns})),
       in("ape", HostTensor::make(DType::kF32, {128, kColumns})), in("indices", i32s(indices)),
       in("seq_lens", i32s(lengths)), absent("extra")}};
}

/// Without `extra`, earlier tokens are in the slots `indices`.
inline Call online_prefill_v1_of(std::int64_t slots, std::int64_t tokens, const std::vector<std::int32_t>& indices,
                                 const std::vector<layout::TokenPlan>& complete,
                                 const std::vector<layout::TokenPlan>& open, Value extra = None{}) {
  Call call{
      "compress_c128_online_prefill_v1",
      "",
      {},
      {inout("kv_buffer", empty_slots(slots)), in("kv_input", HostTensor::make(DType::kF32, {tokens, 2 * kColumns})),
       out("kv_output", HostTensor::make(DType::kF32, {tokens, kColumns})),
       in("ape", HostTensor::make(DType::kF32, {128, kColumns})), in("indices", i32s(indices)),
       in("compress_plan", plan_tensor(complete)), in("write_plan", plan_tensor(open)), absent("extra")}};
  call.args.back().value = std::move(extra);
  return call;
}

/// The rows of kv_output that the call may write. Of kv_buffer, it may write these slots.
inline void may_write(Call& call, const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& slots) {
  for (const auto& [name, chosen] : {std::pair{"kv_output", rows}, {"kv_buffer", slots}}) {
    Arg& arg = call.arg(name);
    arg.footprint.assign(arg.tensor().storage.size(), 0);
    const auto bytes = std::ssize(arg.footprint) / std::max<std::int64_t>(arg.tensor().size(0), 1);
    for (const std::int64_t row : chosen) std::fill_n(arg.footprint.begin() + row * bytes, bytes, std::uint8_t{1});
  }
}

/// Calls the auxiliary function "bound". `merges`: see the reference of the prefill; a decode call does not have it.
inline std::pair<HostTensor, HostTensor> online_bounds_of(Call call, std::int64_t merges = 0) {
  call.aux = "bound";
  for (const char* name : {"kv_output", "kv_buffer"}) {
    call.arg(name).footprint.clear();
    call.args.push_back(out(std::string(name) + "_bound", HostTensor::make(DType::kF32, call.tensor(name).shape)));
  }
  if (call.op.starts_with("compress_c128_online_prefill")) call.args.push_back(scalar("merges", merges));
  const CallResult r = accepted(call);
  return {r.tensor("kv_output_bound"), r.tensor("kv_buffer_bound")};
}

}  // namespace dsv4::testing
