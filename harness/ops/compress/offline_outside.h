/// Helpers of contracts about plans and pages that name rows outside the tensors of a C4 op.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "harness/op/indices.h"
#include "harness/ops/compress/offline_op.h"

namespace dsv4 {

/// Numbers outside [0, limit).
std::vector<std::int32_t> numbers_outside(std::int64_t limit);

/// The rows that a call writes for a record of a plan, or for a request.
struct OfflineOwnRows {
  std::set<std::int64_t> entries;  ///< rows of kv_output
  std::set<std::int64_t> kept;     ///< rows of kv_buffer, seen as [n, 4H]
};

/// The part of an observation of the valid call `good` that has these rows. If `own` is false, it has all others.
/// `written` are all rows that the call writes.
Part rows_part(const OfflineWritten& written, const Call& good, const OfflineOwnRows& rows, bool own);
Part offline_rows_part(const OfflineOp& op, const Call& good, const OfflineOwnRows& rows, bool own);

/// Adds the rows to the footprints of `bad`, a changed call: a function may write what it wants to a row that belongs
/// to the wrong record or request.
void allow_own_rows(Call& bad, const OfflineOwnRows& rows);

}  // namespace dsv4
