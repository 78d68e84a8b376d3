/// Small calls for the tests of the C4 references (compression at ratio 4). An entry has two columns, and its kv can be
/// added up by hand.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "harness/generate/random.h"
#include "harness/ops/compress/plan_rows.h"
#include "tests/reference/compress/plans.h"

namespace dsv4::testing {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;

inline constexpr std::int64_t kHeadDim = 2;  // the references accept any head dimension
inline constexpr std::int64_t kWidth = 4 * kHeadDim;
inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline const float kNan = std::nanf("");

/// Returns a prefill call with `tokens` rows and these plans. The state has two pages, and all its values are NaN.
inline Call prefill_of(std::int64_t tokens, const std::vector<CompressPlan>& plan_c,
                       const std::vector<WritePlan>& plan_w) {
  HostTensor state = HostTensor::make(DType::kF32, {2, 4, kWidth});
  fill_floats(state, [] { return kNan; });
  return {"compress_c4_prefill",
          "",
          {},
          {inout("kv_buffer", state), in("kv_input", HostTensor::make(DType::kF32, {tokens, kWidth})),
           out("kv_output", HostTensor::make(DType::kF32, {std::ssize(plan_c), kHeadDim})),
           in("ape", HostTensor::make(DType::kF32, {8, kHeadDim})), in("plan_c", plan_tensor(plan_c)),
           in("plan_w", plan_tensor(plan_w))}};
}

/// Sets the kv of token t: column d of the overlap block to 10 t + 1000 d, and column d of its own block to one more.
/// The scores stay 0.
inline void fill_kv(HostTensor& rows) {
  for (std::int64_t t = 0; t < rows.size(0); ++t) {
    for (std::int64_t d = 0; d < kHeadDim; ++d) {
      rows.at<float>(t, d) = static_cast<float>(10 * t + 1000 * d);
      rows.at<float>(t, kHeadDim + d) = static_cast<float>(10 * t + 1 + 1000 * d);
    }
  }
}

}  // namespace dsv4::testing
