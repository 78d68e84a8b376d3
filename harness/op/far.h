/// Relations of arguments whose elements lie beyond 2^31 and 2^32, where an offset in 32 bits ends in the wrong place.
/// No tensor of that size is ever made: its rows are few, and spread out by Arg::placement.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// "relation:far_<argument>", "<what> give what near ones give": what the op observes of the call is the same if `move`
/// has spread out the argument (set its placement, and made the call's indices name the far rows). The moved call's
/// result is observed as the near call's: its tensors come back as they are on the host. The near call must agree with
/// the reference.
Scenario far_relation(const std::string& argument, const std::string& what, Points points,
                      std::function<void(Call& call)> move);

/// Offsets, in elements, where 32 bits end: 2^31 bytes, 2^31 elements, 2^32 elements.
std::vector<std::int64_t> far_edges(DType dtype);

/// `count` rows of `row_elements` each, for the rows 0 ... count - 1 of a tensor: the first stays, where an offset that
/// wrapped would find it; the others lie in turn about each edge: the first at or behind it, the one before, the next
/// one, ...
std::vector<std::int64_t> far_rows(std::int64_t count, std::int64_t row_elements,
                                   const std::vector<std::int64_t>& edges);

/// A contiguous tensor of so many rows that the last of `rows` is its last.
Placement far_pool(const HostTensor& tensor, std::vector<std::int64_t> rows);

/// The tensor with 2^31 elements and a little from one place of dimension `dim` to the next: the second place is beyond
/// 31 bits, the third beyond 32, and its offset cut to 32 bits lies in the first.
Placement far_apart(const HostTensor& tensor, std::size_t dim = 0);

/// For far_relation: the argument is far apart, and nothing else of the call changes.
std::function<void(Call& call)> move_apart(std::string argument, std::size_t dim = 0);

}  // namespace dsv4
