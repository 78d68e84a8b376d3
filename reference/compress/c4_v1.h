/// What the references of compress_c4_decode_v1 and compress_c4_prefill_v1 share: where V1 looks for state rows.
///
/// With `extra`, state pages hold the four rows of a group. The token at position p is in row p mod 4 of a page, and
/// `indices` and `extra` name the pages. Without `extra`, `indices` names the ring of a request, which has eight rows.
/// The request's tokens take the rows of its ring in turn. (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c4.cuh:143-163,
/// 254-270 and 323-356.)
#pragma once

#include "reference/compress/v1_tensors.h"

namespace dsv4::reference {

inline constexpr std::int64_t kGroup = 4;
inline constexpr std::int64_t kRing = 8;  ///< rows of the ring of a request
/// The score of an absent place, before the bias (c4.cuh:166-173).
inline constexpr double kAbsentScoreV1 = -1e9;

inline OfflineTensors c4_v1_tensors(const char* op, TensorView kv_buffer, TensorView kv_input, TensorView kv_output,
                                    TensorView ape, const Extra& extra) {
  return offline_tensors(op, kGroup, kv_buffer, kv_input, kv_output, ape, std::nullopt,
                         extra.has_value() ? kGroup : kRing);
}

/// A state row: a page, or a ring, and a row in it.
struct StateRow {
  std::int64_t page;
  std::int64_t row;
};

/// The row of the token at `position` in a ring.
inline StateRow row_in_ring(std::int64_t ring, std::int64_t position) { return {ring, position % kRing}; }
/// The row of the token at `position` in the page of its group.
inline StateRow row_in_page(std::int64_t page, std::int64_t position) { return {page, position % kGroup}; }

}  // namespace dsv4::reference
