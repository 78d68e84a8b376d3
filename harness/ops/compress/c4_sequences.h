/// Several calls of planners and C4 kernels, held against one call or a serial replay.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Of compress_c4_prefill: chunked_prefill, prefill_then_decode.
std::vector<Scenario> c4_prefill_sequences(const Op& op);

/// Of compress_c4_decode: decode_equals_prefill, verify_then_decode.
std::vector<Scenario> c4_decode_sequences(const Op& op);

}  // namespace dsv4
