/// Functions that choose rows of tensors, for scenarios that split a batch. A row is one index of the first dimension.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// A packed copy of the rows `rows`, in this order. Throws Error if the tensor does not have one of these rows.
HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// A copy of `t` with its rows permuted: row i of the copy is row `rows[i]` of `t`. Strides and gaps stay the same.
HostTensor reordered(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// Removes all rows except `rows` from the named tensors. An absent argument stays absent. Clears the footprints of
/// these tensors, so that the call may write to every remaining element of an output.
void keep_rows(Call& call, std::initializer_list<const char*> names, const std::vector<std::int64_t>& rows);

}  // namespace dsv4
