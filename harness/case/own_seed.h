/// A seed for each case of a tier.
#pragma once

#include <cstdint>

#include "harness/case/case.h"

namespace dsv4 {

/// Returns a seed that follows from the case's id, and is below 2^32. Cases of one tier have the same seed, and a
/// stream of random numbers depends on the seed and the argument only. So two cases with the same fill begin with the
/// same data, and their rounding errors repeat. A statistic over cases needs independent data.
std::uint64_t own_seed(const Case& c);

}  // namespace dsv4
