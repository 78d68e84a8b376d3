/// Tolerances that the reference set computes. Its auxiliary functions (DSV4_AUX) compute the bounds and intervals of
/// an op's outputs.
#pragma once

#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/call/output.h"

namespace dsv4 {

/// Calls the reference's auxiliary function `aux` with the arguments of `call`, followed by `more`. Throws Error if the
/// function refuses the call.
CallResult auxiliary(const Call& call, const std::string& aux, Caller& reference, std::vector<Arg> more = {});

/// Computes an interval for each named argument that is present. Calls the auxiliary function `aux` with two more
/// outputs for each argument, "<name>_lo" and "<name>_hi". Both have the dtype and the shape of the argument.
Tolerances intervals(const Call& call, Caller& reference, const std::vector<std::string>& names,
                     const std::string& reason, const std::string& aux = "interval");

/// Computes a bound for each element of argument `name`. The auxiliary function "bound" takes the arguments of `call`
/// and writes the bounds into argument `name`.
Tolerance bounded(const Call& call, Caller& reference, const std::string& name, std::string reason);

}  // namespace dsv4
