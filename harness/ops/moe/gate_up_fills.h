/// Distributions of gates and ups that gated activations, and quantisers after them, have got wrong, or could.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/generate/random.h"

namespace dsv4 {

/// Gate and up of one element.
struct GateUp {
  float gate;
  float up;
};

/// Names of all fills, as case ids write them.
const std::vector<std::string>& gate_up_fills();

/// The next pair of a fill, under a clamp at `limit`. One element of each group of a scale is its `leader`. Throws
/// Error for an unknown name.
GateUp gate_up(std::string_view fill, Random& random, float limit, bool leader);

}  // namespace dsv4
