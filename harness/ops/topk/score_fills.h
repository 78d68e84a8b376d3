/// Distributions of scores that top-k kernels have got wrong, or could.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/generate/random.h"

namespace dsv4 {

/// Names of all fills, as case ids write them.
const std::vector<std::string>& score_fills();

/// Fills one row for a selection of `k`. Throws Error for an unknown name.
void fill_scores(std::string_view fill, std::int64_t k, Random& random, std::span<float> row);

}  // namespace dsv4
