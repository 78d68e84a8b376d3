/// Calls of silu_and_mul_contig_post_quant, and the two layouts of its scales.
#pragma once

#include <cstdint>

#include "harness/op/op.h"

namespace dsv4 {

/// Scales of the transposed layout: zeroed i32 [rows, words]. Words of neighbouring rows are neighbours in memory. A
/// column takes as many words as rows, rounded up to a multiple of 4 as upstream's allocator does, and `pad` more.
HostTensor transposed_scale(std::int64_t rows, std::int64_t words, std::int64_t pad);

/// A call with zeroed tensors of these sizes. The input is bf16 [rows, 2 dim], for example. The limit is 0.
Call contig_call(const Op& op, Params compile, std::int64_t rows, std::int64_t dim, bool transposed,
                 std::int64_t pad = 0);

/// The scales by (row, group): u8 exponents if the layout of the call is transposed, or else f32.
HostTensor scales_by_group(const Call& call, const HostTensor& output_scale);

}  // namespace dsv4
