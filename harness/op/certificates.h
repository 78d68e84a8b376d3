/// Tolerances that the reference computes beside the values, by its auxiliary functions.
#pragma once

#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/call/output.h"

namespace dsv4 {

/// Calls the reference's auxiliary function `aux` with the arguments of `call` and these `more`. Throws Error if it
/// refuses.
CallResult auxiliary(const Call& call, const std::string& aux, Caller& reference, std::vector<Arg> more = {});

/// An interval for each of the named arguments that is there: the auxiliary "interval" is called with outputs
/// "<name>_lo" and "<name>_hi" of the argument's dtype and shape.
Tolerances certified(const Call& call, Caller& reference, const std::vector<std::string>& names,
                     const std::string& reason);

/// A bound for what the argument `name` holds, as the auxiliary "bound" leaves it there.
Tolerance bounded(const Call& call, Caller& reference, const std::string& name, std::string reason);

}  // namespace dsv4
