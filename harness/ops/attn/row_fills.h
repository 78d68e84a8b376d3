/// Distributions of elements that quantisers have got wrong, or could.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/core/tensor.h"
#include "harness/generate/random.h"

namespace dsv4 {

/// Names of all fills, as case ids write them.
const std::vector<std::string>& row_fills();

/// Fills the `group` elements of a contiguous bf16 or f32 tensor from `first` on, which share a scale. Throws Error for
/// an unknown name.
void fill_group(HostTensor& x, std::int64_t first, std::int64_t group, const std::string& fill, Random& r);

/// Fills f32 elements with values whose product with the rounded reciprocal of the scale (greatest magnitude / 448)
/// rounds to another E4M3 code than their quotient by the scale, as far as there are such. Returns how many it found.
std::int64_t fill_around_reciprocal(HostTensor& x, std::int64_t first, std::int64_t group, Random& r);

}  // namespace dsv4
