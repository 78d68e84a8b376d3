/// Distributions of gates and ups that gated activations, and quantisers after them, have got wrong, or could.
#pragma once

#include "harness/generate/fills.h"

namespace dsv4 {

/// Fills of pairs of a gate and an up, bf16 [2 * outputs], under a clamp at `limit`. Groups of `group` outputs share
/// a scale.
Fills gate_up_fills(float limit, std::int64_t group);

}  // namespace dsv4
