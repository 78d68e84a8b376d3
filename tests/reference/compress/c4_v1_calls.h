/// Small calls for the tests of the C4 references of V1.
#pragma once

#include <utility>
#include <vector>

#include "tests/reference/compress/c4_calls.h"
#include "tests/reference/compress/v1_calls.h"

namespace dsv4::testing {

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

/// `extra` is None for a state of rings.
inline Call prefill_v1(HostTensor state, HostTensor input, const std::vector<std::int32_t>& indices, Value extra,
                       const std::vector<TokenPlan>& entries, const std::vector<TokenPlan>& kept) {
  return prefill_v1_of(4, kHeadDim, std::move(state), std::move(input), indices, std::move(extra), entries, kept);
}

inline Call decode_v1(HostTensor state, HostTensor input, const std::vector<std::int32_t>& indices,
                      const std::vector<std::int32_t>& lengths, Value extra) {
  return decode_v1_of(4, kHeadDim, std::move(state), std::move(input), indices, lengths, std::move(extra));
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
