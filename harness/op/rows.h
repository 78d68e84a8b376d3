/// Rows of tensors, for scenarios that take a batch apart. A row is one place of the first dimension.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <utility>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// These rows, in this order, packed. Throws Error for a row that the tensor has not.
HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// All rows in the order of the permutation `rows`, laid out in memory as they were.
HostTensor reordered(const HostTensor& t, const std::vector<std::int64_t>& rows);

/// Leaves the tensors of these names only these rows; one that is absent stays absent. Where a call may write to them,
/// it may write to all of what is left.
void keep_rows(Call& call, std::initializer_list<const char*> names, const std::vector<std::int64_t>& rows);

/// These rows, in this order, of a tensor without gaps that is seen as [n, width]. Throws Error for a row that the
/// tensor has not.
HostTensor gather_rows(const HostTensor& t, const std::vector<std::int64_t>& rows, std::int64_t width);

/// Arg::footprint for such a tensor, of which a call may write these rows.
std::vector<std::uint8_t> footprint_of_rows(const HostTensor& t, const std::vector<std::int64_t>& rows,
                                            std::int64_t width);

/// These columns, in this order, of a tensor [n, columns], packed.
HostTensor columns_of(const HostTensor& t, const std::vector<std::int64_t>& columns);

/// Rows by (request id, position), so that calls which place them differently can be compared. Rows are [1, width] each
/// and of one form.
using KeyedRows = std::map<std::pair<std::int64_t, std::int64_t>, HostTensor>;

/// The rows in the order of their keys, [n, width]; an f32 [0, 0] if there are none.
HostTensor stacked(const KeyedRows& rows);
/// The keys, i64 [2 n]. Compared as an output of their own, they show which rows are missing.
HostTensor keys_of(const KeyedRows& rows);

}  // namespace dsv4
