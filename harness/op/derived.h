/// The checks that follow from an op's declaration. No op writes them; one that has no use for a check leaves it out by
/// name, with a reason (OpInfo::without). An op's own scenario of the same name takes the place of a derived one.
///
/// Of each tensor argument x, called c, on the op's first smoke point:
///
///   contract:c_dtype       elements of a dtype that the function does not take
///   contract:c_rank        a dimension more, and one fewer
///   contract:c_<label>     a size that is fixed, or shared with another argument: one more, and one fewer
///   contract:c_strided     gaps between elements; gaps between rows, unless Argument::gaps allows those
///   contract:c_on_host     the other memory (or c_on_device)
///   relation:late_x        x is not touched before the stream's previous kernel has ended
///   relation:far_x         its rows lie 2^31 elements apart (Argument::far)
///
/// Of the op:
///
///   contract:no_<batch>    a batch without rows
///   relation:any_batch     a row's result does not depend on the other rows
///   relation:index_types   each integer dtype of the indices gives the same
///   relation:repeat        the same call gives the same bits
#pragma once

#include <cstdint>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// All of them, without those in OpInfo::without.
std::vector<Scenario> derived_scenarios(const Op& op);

/// Leaves the arguments that have the batch's size only these rows of it, and makes the rest fit (Op::fit).
void keep_batch(const Op& op, Call& call, const std::vector<std::int64_t>& rows);

/// Throws Error unless the points of the op's declaration and of its scenarios are cases of it, and OpInfo::without
/// names derived checks.
void check_declaration(const Op& op);

}  // namespace dsv4
