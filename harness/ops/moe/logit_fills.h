/// Distributions of router logits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/generate/random.h"

namespace dsv4 {

/// Names of all fills, as case ids write them.
const std::vector<std::string>& logit_fills();

/// The logit of a token's expert number `j`. Between about -103.98 and -102.5 expf may or may not underflow, and for a
/// token without another logit any weights are right: no fill draws from there. Throws Error for an unknown name.
float logit(const std::string& fill, Random& r, std::int64_t j);

}  // namespace dsv4
