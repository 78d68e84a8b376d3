/// Computes which state row belongs to a token. There are two ways: SwaAddress and RingAddress. A state page consists
/// of `ratio` consecutive state rows.
#pragma once

#include <cstdint>
#include <string>

#include "reference/common/view.h"

namespace dsv4::reference {

/// Computes the state row from the token's slot in the sliding-window cache (SWA). Each page of that cache has
/// `swa_page_size` tokens and its own ring of `ring_size` state rows. So requests that share a cached prefix also share
/// the state of this prefix.
struct SwaAddress {
  View<const std::int32_t, 2> req_to_token;  ///< [requests, positions] -> slot of the full cache
  View<const std::int64_t, 1> full_to_swa;   ///< slot of the full cache -> slot of the sliding-window cache
  std::int64_t swa_page_size;
  std::int64_t ring_size;

  /// Throws a ValueError if the request, the position or the slot is outside its map.
  [[nodiscard]] std::int64_t row(std::int64_t request_id, std::int64_t position) const {
    const std::int64_t slot = full_to_swa(req_to_token(request_id, position));
    return slot / swa_page_size * ring_size + slot % ring_size;
  }
};

/// Checks the arguments of a SwaAddress and makes it.
inline SwaAddress swa_address(const char* op, TensorView req_to_token, TensorView full_to_swa,
                              std::int64_t compress_ratio, std::int64_t swa_page_size, std::int64_t ring_size) {
  if (compress_ratio != 4 && compress_ratio != 128) {
    refuse(op, "compress_ratio", "expected 4 or 128, got " + std::to_string(compress_ratio));
  }
  if (ring_size < 1 || ring_size % compress_ratio != 0) {
    refuse(op, "ring_size",
           "expected a positive multiple of compress_ratio " + std::to_string(compress_ratio) + ", got " +
               std::to_string(ring_size));
  }
  if (swa_page_size < 1 || swa_page_size % ring_size != 0) {
    refuse(op, "swa_page_size",
           "expected a positive multiple of ring_size " + std::to_string(ring_size) + ", got " +
               std::to_string(swa_page_size));
  }
  return {View<const std::int32_t, 2>(op, "req_to_token", req_to_token).expect_contiguous(),
          View<const std::int64_t, 1>(op, "full_to_swa", full_to_swa).expect_contiguous(), swa_page_size, ring_size};
}

/// Each request has its own ring of state rows: two pages of 4 rows at ratio 4, or one page of 128 rows at ratio 128.
struct RingAddress {
  std::int64_t ratio;

  [[nodiscard]] std::int64_t row(std::int64_t request_id, std::int64_t position) const {
    const std::int64_t rows_per_request = ratio == 4 ? 8 : 128;
    return rows_per_request * request_id + position % rows_per_request;
  }
};

}  // namespace dsv4::reference
