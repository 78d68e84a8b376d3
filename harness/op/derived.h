/// The checks that follow from an op's declaration; no op writes them by hand. If a check makes no sense for an op, the
/// op names it in OpInfo::without with a reason. If an op has a scenario of the same name, that scenario replaces the
/// derived one.
///
/// Checks of each tensor argument x. Their names call it c (Traits::called). The contracts run on
/// OpInfo::contract_point, which is the first smoke point by default. late_x runs on each smoke point that passes x on
/// the device, and far_x on the point Traits::far.
///
///   contract:c_dtype       elements of a dtype that the function does not take
///   contract:c_rank        one dimension more, and one fewer
///   contract:c_<label>     a size that is fixed, or shared with another argument: one more, and one fewer
///   contract:c_strided     gaps between elements, and gaps between rows. If x may have gaps between rows, the check
///                          is c_columns_strided and has only gaps between elements
///   contract:c_on_host     the wrong memory; c_on_device for an argument that belongs in host memory
///   relation:late_x        x is not touched before the stream's previous kernel has ended
///   relation:far_x         x gives the same results when its rows lie 2^31 elements apart
///
/// Checks of the op. repeat runs on every smoke point, the others on the first; no_<batch> is a contract as above.
///
///   contract:no_<batch>    a batch without rows
///   relation:any_batch     a row's result does not depend on the other rows
///   relation:index_types   the first two dtypes of an index argument give the same outputs
///   relation:repeat        the same call gives the same bits
#pragma once

#include <cstdint>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// All derived checks of the op, except those in OpInfo::without.
std::vector<Scenario> derived_scenarios(const Op& op);

/// Keeps only these rows of the batch in each argument that has the batch's dimension. Then Op::fit adjusts the rest of
/// the call. Throws Error if the batch is not the first dimension of such an argument.
void keep_batch(const Op& op, Call& call, const std::vector<std::int64_t>& rows);

/// Checks the declaration of an op. Throws Error if a declared point is not valid, or if OpInfo::without names a check
/// that is not derived or gives no reason.
void check_declaration(const Op& op);

}  // namespace dsv4
