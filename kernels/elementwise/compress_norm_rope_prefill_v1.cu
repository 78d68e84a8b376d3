/// compress_norm_rope_prefill_v1: normalises the rows that a V1 plan names by their root mean square, multiplies them
/// by a weight, and rotates their last 64 elements, in place (compressed_rows.cuh).
///
///     forward(input, weight, plan, freqs_cis, mode, eps, ratio)
///
/// | argument  | shape   | dtype   | |
/// |-----------|---------|---------|-|
/// | input     | [N, D]  | float32 | contiguous, in place; D is 128 or 512 |
/// | weight    | [D]     | float32 | contiguous |
/// | plan      | [n, 16] | uint8   | contiguous: TokenPlan records, aligned to 16 bytes |
/// | freqs_cis | [M, 64] | float32 | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | mode      | 0       |         | upstream's function has other modes, which this one refuses |
/// | eps       | number  |         | rounded to float32 |
/// | ratio     | number  |         | tokens of an entry, at least 1 |
///
/// A record names row ragged_id. Its position is that of the first token of the entry's own group: position + 1 -
/// ratio. Rows that no record names are not changed. If two records name one row, they race.
///
/// The plan is on the device, so the host cannot check it. A record is skipped if it is a sentinel, or if `input` lacks
/// its row. If n = 0, no kernel is launched.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/elementwise/compressed_rows.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_norm_rope_prefill_v1";

struct PlanRecords {
  const layout::TokenPlan* plan;

  DSV4_DEVICE RowPlace place(std::int64_t i, std::int64_t rows, std::int64_t ratio) const {
    const layout::TokenPlan record = plan[i];
    if (record.ragged_id >= rows) return {-1, 0};  // a sentinel has the greatest number
    return {record.ragged_id, std::int64_t{record.position} + 1 - ratio};
  }
};

void forward(TensorView input, TensorView weight, TensorView plan, TensorView freqs_cis, std::int64_t mode, double eps,
             std::int64_t ratio) {
  ArgumentCheck check(kOp);
  auto params = checked_rows<PlanRecords>(check, input, weight, freqs_cis, eps, ratio);
  Size count("records");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::TokenPlan));
  check.tensor("plan", plan).dtype({kUint8}).shape({count, kBytes}).on_cuda().contiguous().aligned(kBytes);
  check.require(mode == 0, "mode", "must be 0, got ", mode);
  params.records = {data_of<const layout::TokenPlan>(plan)};
  params.count = count.value();
  change_rows(check, kOp, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "compress_norm_rope_prefill_v1", "compress_norm_rope_prefill_v1/1",
           "head_dim=128|512");
