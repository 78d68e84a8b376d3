/// Small calls for the tests of the C4 references of V1.
#pragma once

#include <utility>
#include <vector>

#include "tests/reference/compress/c4_calls.h"

namespace dsv4::testing {

using layout::TokenPlan;

/// A state of NaN: two pages of four rows, or two rings of eight rows.
inline HostTensor nan_state(std::int64_t page_rows) {
  HostTensor state = HostTensor::make(DType::kF32, {2, page_rows, kWidth});
  fill_floats(state, [] { return kNan; });
  return state;
}

/// The rows of the tokens 0 ... n - 1 of a request (fill_kv).
inline HostTensor token_rows(std::int64_t n) {
  HostTensor rows = HostTensor::make(DType::kF32, {n, kWidth});
  fill_kv(rows);
  return rows;
}

/// Copies the row `from` of `rows` to row `to` of `t`, which is seen as [n, width].
inline void copy_row(const HostTensor& rows, std::int64_t from, HostTensor& t, std::int64_t to) {
  for (std::int64_t k = 0; k < kWidth; ++k) set_float(t, to * kWidth + k, rows.at<float>(from, k));
}

/// The numbers as i32 [n, columns]; with 0 columns, i32 [n].
inline HostTensor pages_of(const std::vector<std::int32_t>& numbers, std::int64_t columns = 0) {
  HostTensor t = HostTensor::of(DType::kI32, numbers);
  if (columns != 0) {
    t = HostTensor::make(DType::kI32, {std::ssize(numbers) / columns, columns});
    for (std::int64_t i = 0; i < t.numel(); ++i) t.data<std::int32_t>()[i] = numbers[static_cast<std::size_t>(i)];
  }
  return t;
}

/// `extra` is None for a state of rings.
inline Call prefill_v1(HostTensor state, HostTensor input, const std::vector<std::int32_t>& indices, Value extra,
                       const std::vector<TokenPlan>& entries, const std::vector<TokenPlan>& kept) {
  const std::int64_t tokens = input.size(0);
  Call call{"compress_c4_prefill_v1",
            "",
            {},
            {inout("kv_buffer", std::move(state)), in("kv_input", std::move(input)),
             out("kv_output", HostTensor::make(DType::kF32, {tokens, kHeadDim})),
             in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("indices", pages_of(indices)),
             in("compress_plan", plan_tensor(entries)), in("write_plan", plan_tensor(kept)), absent("extra")}};
  call.args.back().value = std::move(extra);
  return call;
}

inline Call decode_v1(HostTensor state, HostTensor input, const std::vector<std::int32_t>& indices,
                      const std::vector<std::int32_t>& lengths, Value extra) {
  const std::int64_t requests = input.size(0);
  Call call{"compress_c4_decode_v1",
            "",
            {},
            {inout("kv_buffer", std::move(state)), in("kv_input", std::move(input)),
             out("kv_output", HostTensor::make(DType::kF32, {requests, kHeadDim})),
             in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("indices", pages_of(indices)),
             in("seq_lens", pages_of(lengths)), absent("extra")}};
  call.args.back().value = std::move(extra);
  return call;
}

/// Lets the call write only these rows of kv_output.
inline void only_entries(Call& call, const std::vector<std::int64_t>& rows) {
  Arg& output = call.arg("kv_output");
  output.footprint.assign(output.tensor().storage.size(), 0);
  for (const std::int64_t row : rows) {
    std::fill_n(output.footprint.begin() + row * 4 * kHeadDim, 4 * kHeadDim, std::uint8_t{1});
  }
}

/// The mean of column 0 for the window of the tokens 0 ... 7, if all scores are equal (fill_kv).
inline constexpr float kMeanOfEight = (0.0f + 10 + 20 + 30 + 41 + 51 + 61 + 71) / 8;

}  // namespace dsv4::testing
