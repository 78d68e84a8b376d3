/// Contracts that both C4 compressions have.
#pragma once

#include <string>
#include <vector>

#include "harness/ops/compress/contract_list.h"

namespace dsv4 {

/// State, input, output and bias, and the tensors of the plan, `plans`.
void add_c4_contracts(ContractList& list, const std::vector<std::string>& plans);

}  // namespace dsv4
