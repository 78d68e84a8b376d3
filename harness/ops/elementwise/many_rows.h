/// Checks an op with more rows than 16 bits can number, at little cost: only a few rows have data, and only these are
/// compared with the reference.
#pragma once

#include <functional>
#include <string>

#include "harness/op/op.h"

namespace dsv4 {

/// Makes "relation:many_<symbol>". The op's call at a point has three rows along the dimension `symbol` of its
/// signature. They become the rows 0, 32768 and 65539 of tensors with 65540 rows, whose other rows are zeros. These
/// three rows of the outputs must be right. The tensors of the call must not have gaps. `prepare` changes the call with
/// three rows first. `also` is another symbol that has the same size.
Scenario many_relation(const std::string& symbol, Points points, std::function<void(Call&)> prepare = {},
                       const std::string& also = "");

/// Points of a relation that has only the point `point`, in the full tier.
Points in_full(Params point);

}  // namespace dsv4
