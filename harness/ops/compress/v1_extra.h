/// The argument `extra` of V1 decode functions that do not use it. All functions of V1 have this argument.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// The contracts that such an op leaves out (OpInfo::without), with the reason. They are added to `without`.
std::map<std::string, std::string> without_extra(std::map<std::string, std::string> without = {});

/// "relation:extra_unused" and "contract:extra_outside": no `extra` makes a difference. It may be absent, have another
/// shape, or hold other numbers.
std::vector<Scenario> any_extra(const Op& op);

}  // namespace dsv4
