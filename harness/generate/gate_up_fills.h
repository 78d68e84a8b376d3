/// Distributions of gates and ups. Gated activations, or the quantisers after them, have failed with such inputs or
/// could fail.
#pragma once

#include "harness/generate/fills.h"

namespace dsv4 {

/// Fills of bf16 [2 * outputs], a gate and an up for each output. The op clamps gates and ups at `limit`. Each group of
/// `group` outputs shares a scale.
Fills gate_up_fills(float limit, std::int64_t group);

}  // namespace dsv4
