/// Relations for far arguments: arguments with elements at offsets beyond 2^31 and 2^32, where a 32-bit offset wraps.
/// No host tensor of that size is made. The tensor of the call has few rows, and Arg::far_layout puts these rows at
/// far offsets.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Makes "relation:far_<argument>". Its meaning is "<what> give the same outputs as the same data in a small tensor".
/// `move` spreads out the argument: it sets the far layout, and makes the call's indices name the far rows. The near
/// call is the call before the move. The near call must agree with the reference, and the moved call must give the same
/// outputs as the near call. Op::observe gets the near call for both results, because a result holds each tensor
/// without its far layout.
Scenario far_relation(const std::string& argument, const std::string& what, Points points,
                      std::function<void(Call& call)> move);

/// Offsets, in elements, at which 32-bit arithmetic wraps: 2^32 elements, 2^31 elements and, if an element has several
/// bytes, the number of elements in 2^31 bytes.
std::vector<std::int64_t> far_edges(DType dtype);

/// Chooses far places for the rows 0 ... count - 1 of a tensor. Each row has `row_elements` elements. A place is a row
/// of a larger tensor. Row 0 gets place 0, because a wrapped offset points there. The other rows are distributed over
/// the edges, one row to each edge in each round. In the first round an edge gives the first place that begins at or
/// after the edge. In the next rounds it gives the place before that, the place after that, and so on.
std::vector<std::int64_t> far_rows(std::int64_t count, std::int64_t row_elements,
                                   const std::vector<std::int64_t>& edges);

/// Places row i of a contiguous tensor at row `rows[i]` of a larger tensor. The last row of the larger tensor is the
/// largest number in `rows`. Throws Error if the tensor is not contiguous or `rows` is empty.
FarLayout far_pool(const HostTensor& tensor, std::vector<std::int64_t> rows);

/// Gives dimension `dim` of the tensor a stride of 2^31 + 8 elements. The offset of index 1 needs more than 31 bits,
/// and the offset of index 2 needs more than 32 bits. If the offset of index 2 is cut to 32 bits, 16 elements remain: a
/// place in the data of index 0, or in the guard band after them.
FarLayout far_apart(const HostTensor& tensor, std::size_t dim = 0);

/// A `move` for far_relation: applies far_apart to the argument and changes nothing else in the call.
std::function<void(Call& call)> move_apart(std::string argument, std::size_t dim = 0);

}  // namespace dsv4
