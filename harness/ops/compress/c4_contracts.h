/// Contracts that both C4 compressions have.
#pragma once

#include <string>
#include <vector>

#include "harness/op/contracts.h"

namespace dsv4 {

/// State, input, output and bias, and the tensors of the plan, `plans`.
void add_c4_contracts(Contracts& contracts, const std::vector<std::string>& plans);

}  // namespace dsv4
