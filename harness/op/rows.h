/// Functions that choose rows of tensors, for scenarios that split a batch. A row is one index of the first dimension.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <utility>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// A packed copy of the rows `rows`, in this order. Throws Error if the tensor does not have one of these rows.
HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// A copy of `t` with other rows: row i of the copy is row `rows[i]` of `t`. Strides and gaps stay the same.
HostTensor reordered(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// Copies each row of `from`, [n, columns], to the first columns of the same row of `to`. `to` has at least as
/// many columns.
void copy_columns(const HostTensor& from, HostTensor& to);

/// Removes all rows except `rows` from the named tensors. An absent argument stays absent. Clears the footprints of
/// these tensors, so that the call may write to every remaining element of an output.
void keep_rows(Call& call, std::initializer_list<const char*> names, const std::vector<std::int64_t>& rows);

/// A copy of the rows `rows`, in this order. `t` has no gaps and is seen as a tensor [n, width]. Throws Error if it
/// does not have one of these rows.
HostTensor gather_rows(const HostTensor& t, const std::vector<std::int64_t>& rows, std::int64_t width);

/// Makes Arg::footprint for a tensor without gaps that is seen as [n, width]. A call may write only the rows `rows`.
/// Throws Error if the tensor does not have one of these rows.
std::vector<std::uint8_t> footprint_of_rows(const HostTensor& t, const std::vector<std::int64_t>& rows,
                                            std::int64_t width);

/// A packed copy of the columns `columns`, in this order, of a tensor [n, m].
HostTensor columns_of(const HostTensor& t, const std::vector<std::int64_t>& columns);

/// Rows by (request id, position). With these keys, calls that place a token in different rows can be compared. Each
/// row is a tensor [1, width], and all have the same form.
using KeyedRows = std::map<std::pair<std::int64_t, std::int64_t>, HostTensor>;

/// The rows in the order of their keys, as one tensor [n, width]; f32 [0, 0] if there are no rows.
HostTensor stacked(const KeyedRows& rows);
/// The keys, i64 [2 n]. If the keys are compared as a separate output, missing rows are found.
HostTensor keys_of(const KeyedRows& rows);

}  // namespace dsv4
