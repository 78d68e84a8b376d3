/// Derived checks: scenarios that follow from an op's declaration, so that no op writes them by hand. If a derived
/// check makes no sense for an op, the op lists it in OpInfo::without with a reason. If an op has its own scenario with
/// the name of a derived check, the op's scenario is used.
///
/// The first list has the checks of each tensor argument x. In the names of contracts, c stands for Traits::called,
/// which is the argument's name by default. The contracts run on OpInfo::contract_point, which is the first smoke
/// point by default. late_x runs on each smoke point at which x is in device memory and not empty. far_x runs on the
/// point Traits::far.
///
///   contract:c_dtype       a dtype that the function does not accept is refused
///   contract:c_rank        one dimension more, and one dimension fewer, are refused
///   contract:c_<label>     if a size is fixed, or shared with another argument: one more, and one fewer, are refused
///   contract:c_strided     gaps between elements, and gaps between rows, are refused or give the same outputs. If x
///                          may have gaps between rows, the check is called c_columns_strided and has only gaps between
///                          elements
///   contract:c_on_host     host memory is refused. If x belongs in host memory, the check is called c_on_device, and
///                          device memory is refused
///   contract:c_outside     if x holds indices: an index outside its range is refused, or changes only the rows
///                          that use it (harness/op/indices.h)
///   relation:late_x        x is not accessed before the stream's previous kernel has ended
///   relation:far_x         the outputs stay the same when the rows of x lie 2^31 elements apart
///
/// The second list has the checks of the op as a whole. repeat runs on every smoke point. any_batch and index_types run
/// on the first smoke point. no_<batch> runs on OpInfo::contract_point. page_end and page_start run on every smoke
/// point. In the quick tier they also run on points in which each value of each parameter occurs.
///
///   contract:no_<batch>    if the batch has no rows, nothing is written, or the call is refused
///   relation:any_batch     a row's result does not depend on the other rows
///   relation:index_types   the first two dtypes of an integer argument give the same outputs
///   relation:writes_before_next  no kernel writes after it has let the stream's next kernel begin. Runs on each smoke
///                          point at which some tensor is in device memory
///   relation:repeat        the same call gives the same bits
///   relation:page_end      all tensors end at an inaccessible page: nothing past them is accessed
///   relation:page_start    all tensors begin at an inaccessible page: nothing before them is accessed
///   relation:after_<op>    right also if the call begins while <op>, which made some of its arguments, is still
///                          writing. One for each of Op::pairs(), on the points of the pair
#pragma once

#include <cstdint>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// All derived checks of the op, except those in OpInfo::without.
std::vector<Scenario> derived_scenarios(const Op& op);

/// Removes all rows of the batch except `rows` from each argument that has the batch's dimension. Then Op::fit adjusts
/// the rest of the call. Throws Error if the batch is another dimension than the first in one of these arguments.
void keep_batch(const Op& op, Call& call, const std::vector<std::int64_t>& rows);

/// Checks the declaration of an op. Throws Error if a declared point is not valid, or if OpInfo::without names a check
/// that is not a derived one, or gives no reason for a check.
void check_declaration(const Op& op);

}  // namespace dsv4
