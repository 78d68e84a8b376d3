/// Small calls for the tests of the C128 references (compression at ratio 128). An entry has two columns, and its kv
/// can be added up by hand.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "harness/generate/random.h"
#include "harness/ops/compress/plan_rows.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing::c128 {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;

inline constexpr std::int64_t kHeadDim = 2;  // the references accept any head dimension
inline constexpr std::int64_t kWidth = 2 * kHeadDim;
inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline const float kNan = std::nanf("");

/// Rows of `tokens` tokens. In column d, the kv of token t is t + 1000 d. The scores are 0.
inline HostTensor rows_of_tokens(std::int64_t tokens) {
  HostTensor rows = HostTensor::make(DType::kF32, {tokens, kWidth});
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t d = 0; d < kHeadDim; ++d) rows.at<float>(t, d) = static_cast<float>(t + 1000 * d);
  }
  return rows;
}

/// The mean of the kv of tokens 0 to 127, in column 0.
inline constexpr float kMean = 63.5f;

/// A state of two pages, whose values are NaN.
inline HostTensor empty_state() {
  HostTensor state = HostTensor::make(DType::kF32, {2, 128, kWidth});
  fill_floats(state, [] { return kNan; });
  return state;
}

/// Copies a row of `rows` to a row of a page of the state.
inline void put(HostTensor& state, std::int64_t page, std::int64_t row, const HostTensor& rows, std::int64_t token) {
  for (std::int64_t k = 0; k < kWidth; ++k) state.at<float>(page, row, k) = rows.at<float>(token, k);
}

/// Allows a call to write only these rows of kv_output.
inline void may_write(Call& call, const std::vector<std::int64_t>& rows) {
  call.arg("kv_output").footprint = footprint_of_rows(call.tensor("kv_output"), rows, kHeadDim);
}

/// A prefill call with these rows and plans.
inline Call prefill_of(const HostTensor& rows, const std::vector<CompressPlan>& plan_c,
                       const std::vector<WritePlan>& plan_w) {
  return {"compress_c128_prefill",
          "",
          {},
          {inout("kv_buffer", empty_state()), in("kv_input", rows),
           out("kv_output", HostTensor::make(DType::kF32, {std::ssize(plan_c), kHeadDim})),
           in("ape", HostTensor::make(DType::kF32, {128, kHeadDim})), in("plan_c", plan_tensor(plan_c)),
           in("plan_w", plan_tensor(plan_w))}};
}

/// A decode call with these rows and this plan.
inline Call decode_of(const HostTensor& state, const HostTensor& rows, const std::vector<DecodePlan>& plan_d) {
  return {"compress_c128_decode",
          "",
          {},
          {inout("kv_buffer", state), in("kv_input", rows),
           out("kv_output", HostTensor::make(DType::kF32, {std::ssize(plan_d), kHeadDim})),
           in("ape", HostTensor::make(DType::kF32, {128, kHeadDim})), in("plan_d", plan_tensor(plan_d))}};
}

/// The bounds of a call's outputs.
inline HostTensor bounds_of(Call call) {
  call.aux = "bound";
  call.arg("kv_buffer").role = Role::kIn;
  return accepted(call).tensor("kv_output");
}

}  // namespace dsv4::testing::c128
