/// Reference of compress_norm_rope_prefill_v1: normalises the rows that a V1 plan names, multiplies them by a weight,
/// and rotates their last 64 elements, in place.
///
/// Upstream's kernel is in sglang 0.5.13, jit_kernel/csrc/deepseek_v4/fused_norm_rope.cuh (below, "line" means a line
/// of this file), in the mode CompressExtend.
#include <cstdint>
#include <string>
#include <vector>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/common/view.h"
#include "reference/compress/plan_tensors.h"
#include "reference/elementwise/compressed_rows.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_norm_rope_prefill_v1";
constexpr std::int64_t kExtendMode = 0;  ///< CompressExtend (lines 35-39)

/// The rows that the plan names. A record whose row does not exist is skipped, as a sentinel is. Upstream's kernel
/// skips sentinels only (lines 72-76).
std::vector<PlacedRow> rows_of_plan(TensorView plan, std::int64_t mode, std::int64_t rows, std::int64_t ratio) {
  const auto records = read_plan<layout::TokenPlan>(kOp, "plan", plan);
  if (mode != kExtendMode) refuse(kOp, "mode", "expected 0, got " + std::to_string(mode));
  std::vector<PlacedRow> placed;
  for (const layout::TokenPlan& record : records) {
    if (record.ragged_id == layout::kNoEntry || record.ragged_id >= rows) continue;
    placed.push_back({record.ragged_id, std::int64_t{record.position} + 1 - ratio});
  }
  return placed;
}

/// forward: the row of a record becomes y = x / sqrt(mean(x^2) + eps) * weight, and the last 64 elements of y are
/// rotated. Other rows are not changed.
///
/// Elements (D - 64 + 2i, D - 63 + 2i) are the real and the imaginary part of pair i. They are multiplied by cos_i + i
/// sin_i in the row of freqs_cis for the first token of the entry's own group: position + 1 - ratio (line 74). A row
/// whose position is outside freqs_cis is normalised, but not rotated. Upstream's kernel does not check positions (line
/// 94).
///
/// @param input      f32 [rows, D], contiguous, in place; D is 128 or 512
/// @param weight     f32 [D], contiguous
/// @param plan       u8 [records, 16], contiguous: TokenPlan (interface/compress_plan.h). A record names row ragged_id,
///                   and no other record may name this row
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param mode       0; upstream's function has two more modes, which are other ops
/// @param eps        is rounded to float
/// @param ratio      number of tokens of an entry, positive
void forward(TensorView input, TensorView weight, TensorView plan, TensorView freqs_cis, std::int64_t mode, double eps,
             std::int64_t ratio) {
  const CompressedRows rows(kOp, input, weight, freqs_cis, eps, ratio);
  rows.change(rows_of_plan(plan, mode, rows.size(), ratio));
}

/// Computes the interval of right results, from the ends of the factor's interval.
///
/// @param input_lo, input_hi  f32 [rows, D], out: least and greatest right result; a row that is not changed has its
///                            input there
/// The other arguments are those of `forward`. Only input_lo and input_hi are written.
void interval(TensorView input, TensorView weight, TensorView plan, TensorView freqs_cis, std::int64_t mode, double eps,
              std::int64_t ratio, TensorView input_lo, TensorView input_hi) {
  const CompressedRows rows(kOp, input, weight, freqs_cis, eps, ratio);
  rows.bracket(rows_of_plan(plan, mode, rows.size(), ratio), View<float, 2>(kOp, "input_lo", input_lo),
               View<float, 2>(kOp, "input_hi", input_hi));
}

DSV4_ENTRY(forward, forward, "compress_norm_rope_prefill_v1", "compress_norm_rope_prefill_v1/1", "");
DSV4_AUX(forward_interval, interval, "compress_norm_rope_prefill_v1", "interval", "");

}  // namespace
}  // namespace dsv4::reference
