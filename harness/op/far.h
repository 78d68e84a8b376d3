/// Relations for arguments with elements at offsets beyond 2^31 and 2^32, where a 32-bit offset wraps. A tensor of that
/// size is never allocated: it has few rows, which Arg::placement spreads out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Makes "relation:far_<argument>" with the meaning "<what> give what near ones give". `move` spreads out the argument:
/// it sets the placement, and makes the call's indices name the far rows. The moved call must give the same outputs as
/// the call before the move, the near call. The near call must agree with the reference. Op::observe gets the near call
/// for both results, because tensors come back as they lie on the host.
Scenario far_relation(const std::string& argument, const std::string& what, Points points,
                      std::function<void(Call& call)> move);

/// Offsets, in elements, where 32 bits end: 2^32 elements, 2^31 elements, and 2^31 bytes if an element has
/// several bytes.
std::vector<std::int64_t> far_edges(DType dtype);

/// Chooses far places for the rows 0 ... count - 1 of a tensor; each row has `row_elements` elements. Row 0 stays,
/// because a wrapped offset leads there. The other rows take turns at the edges. At each edge they take the first row
/// that begins at or after it, then the row before, then the row after, and so on.
std::vector<std::int64_t> far_rows(std::int64_t count, std::int64_t row_elements,
                                   const std::vector<std::int64_t>& edges);

/// Places the rows of a contiguous tensor at `rows` of a larger one. The largest number in `rows` is the last row of
/// the larger tensor. Throws Error if the tensor is not contiguous or `rows` is empty.
Placement far_pool(const HostTensor& tensor, std::vector<std::int64_t> rows);

/// Spreads out the tensor with a stride of 2^31 + 8 elements in dimension `dim`. The offset of the second place needs
/// more than 31 bits, and that of the third more than 32. Cut to 32 bits, the third offset lies in the first place.
Placement far_apart(const HostTensor& tensor, std::size_t dim = 0);

/// A `move` for far_relation: applies far_apart to the argument and changes nothing else in the call.
std::function<void(Call& call)> move_apart(std::string argument, std::size_t dim = 0);

}  // namespace dsv4
