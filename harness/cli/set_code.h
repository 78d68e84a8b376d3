/// The code of a kernel set, as its manifest describes it.
#pragma once

#include "harness/run/set_code.h"
#include "harness/sets/set.h"

namespace dsv4 {

/// `label` is what texts call the set.
SetCode code_of(const Manifest& manifest, const std::string& label);

}  // namespace dsv4
