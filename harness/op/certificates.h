/// Tolerances that the auxiliary functions of the reference compute.
#pragma once

#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/call/output.h"

namespace dsv4 {

/// Calls the reference's auxiliary function `aux` with the arguments of `call`, followed by `more`. Throws Error if the
/// function refuses the call.
CallResult auxiliary(const Call& call, const std::string& aux, Caller& reference, std::vector<Arg> more = {});

/// Computes an interval for each named argument that is present. Calls the auxiliary function "interval" with two more
/// outputs for each argument, "<name>_lo" and "<name>_hi". They have the argument's dtype and shape.
Tolerances certified(const Call& call, Caller& reference, const std::vector<std::string>& names,
                     const std::string& reason);

/// Computes a bound for each element of argument `name`. The auxiliary function "bound" takes the arguments of `call`
/// and writes the bound into `name`.
Tolerance bounded(const Call& call, Caller& reference, const std::string& name, std::string reason);

}  // namespace dsv4
