/// Small calls for the tests of the references of the V1 compressors.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/ops/compress/plan_rows.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {

using layout::TokenPlan;

/// The numbers as i32 [n, columns]; with 0 columns, i32 [n].
inline HostTensor pages_of(const std::vector<std::int32_t>& numbers, std::int64_t columns = 0) {
  HostTensor t = HostTensor::of(DType::kI32, numbers);
  if (columns != 0) {
    t = HostTensor::make(DType::kI32, {std::ssize(numbers) / columns, columns});
    for (std::int64_t i = 0; i < t.numel(); ++i) t.data<std::int32_t>()[i] = numbers[static_cast<std::size_t>(i)];
  }
  return t;
}

/// A call of the prefill op of this ratio. The bias is 0. `extra` may be None.
inline Call prefill_v1_of(std::int64_t ratio, std::int64_t head_dim, HostTensor state, HostTensor input,
                          const std::vector<std::int32_t>& indices, Value extra, const std::vector<TokenPlan>& entries,
                          const std::vector<TokenPlan>& kept) {
  const std::int64_t tokens = input.size(0);
  Call call{"compress_c" + std::to_string(ratio) + "_prefill_v1",
            "",
            {},
            {inout("kv_buffer", std::move(state)), in("kv_input", std::move(input)),
             out("kv_output", HostTensor::make(DType::kF32, {tokens, head_dim})),
             in("ape", HostTensor::make(DType::kF32, {window_of(ratio), head_dim})), in("indices", pages_of(indices)),
             in("compress_plan", plan_tensor(entries)), in("write_plan", plan_tensor(kept)), absent("extra")}};
  call.args.back().value = std::move(extra);
  return call;
}

/// The same of the decode op.
inline Call decode_v1_of(std::int64_t ratio, std::int64_t head_dim, HostTensor state, HostTensor input,
                         const std::vector<std::int32_t>& indices, const std::vector<std::int32_t>& lengths,
                         Value extra) {
  const std::int64_t requests = input.size(0);
  Call call{"compress_c" + std::to_string(ratio) + "_decode_v1",
            "",
            {},
            {inout("kv_buffer", std::move(state)), in("kv_input", std::move(input)),
             out("kv_output", HostTensor::make(DType::kF32, {requests, head_dim})),
             in("ape", HostTensor::make(DType::kF32, {window_of(ratio), head_dim})), in("indices", pages_of(indices)),
             in("seq_lens", pages_of(lengths)), absent("extra")}};
  call.args.back().value = std::move(extra);
  return call;
}

}  // namespace dsv4::testing
