/// Rows of tensors, for scenarios that split a batch. A row is one index of the first dimension.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// A packed copy of these rows, in this order. Throws Error if the tensor does not have one of the rows.
HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// A copy with the rows permuted: its row i is row `rows[i]` of `t`. Strides and gaps stay the same.
HostTensor reordered(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// Keeps only these rows of the named tensors; an absent argument stays absent. Clears their footprints, so that the
/// call may write to every remaining element of an output.
void keep_rows(Call& call, std::initializer_list<const char*> names, const std::vector<std::int64_t>& rows);

}  // namespace dsv4
