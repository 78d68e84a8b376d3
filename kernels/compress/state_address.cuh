/// Computes on the device which state row belongs to a token. A state page consists of `ratio` consecutive state rows.
#pragma once

#include <cstdint>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace dsv4 {

/// Computes the state row from the token's slot in the sliding-window cache (SWA). Each page of that cache has its own
/// ring of `ring_size` state rows.
struct SwaAddress {
  const std::int32_t* req_to_token;  ///< [requests, positions]
  const std::int64_t* full_to_swa;
  std::int64_t positions;  ///< row length of req_to_token
  std::int32_t page_size;
  std::int32_t ring_size;

  /// The two maps are on the device, so the host cannot check their content. Request, position and slot must be inside
  /// the maps.
  DSV4_DEVICE std::int32_t row(std::int64_t request_id, std::int32_t position) const {
    const auto slot = static_cast<std::int32_t>(full_to_swa[req_to_token[request_id * positions + position]]);
    return slot / page_size * ring_size + slot % ring_size;
  }
};

/// Each request has its own ring of state rows: 8 rows at ratio 4, and 128 rows at ratio 128.
struct RingAddress {
  std::int32_t rows_per_request;

  DSV4_DEVICE std::int32_t row(std::int64_t request_id, std::int32_t position) const {
    return static_cast<std::int32_t>(request_id) * rows_per_request + position % rows_per_request;
  }
};

inline void check_ratio(const ArgumentCheck& check, std::int64_t ratio) {
  check.require(ratio == 4 || ratio == 128, "compress_ratio", "must be 4 or 128, got " + std::to_string(ratio));
}

inline RingAddress ring_address(std::int64_t ratio) { return {ratio == 4 ? 8 : 128}; }

/// Checks the arguments of a SwaAddress and makes it. `ratio` must have been checked before.
inline SwaAddress swa_address(ArgumentCheck& check, const TensorView& req_to_token, const TensorView& full_to_swa,
                              std::int64_t ratio, std::int64_t swa_page_size, std::int64_t ring_size) {
  constexpr std::int64_t kLargest = 0x7FFFFFFF;
  check.tensor("req_to_token", req_to_token).dtype({kInt32}).shape({kAnySize, kAnySize}).on_cuda().contiguous();
  check.tensor("full_to_swa", full_to_swa).dtype({kInt64}).shape({kAnySize}).on_cuda().contiguous();
  check.require(ring_size > 0 && ring_size <= kLargest && ring_size % ratio == 0, "ring_size",
                "must be a positive multiple of compress_ratio " + std::to_string(ratio) +
                    " and at most 2^31 - 1, got " + std::to_string(ring_size));
  check.require(swa_page_size > 0 && swa_page_size <= kLargest && swa_page_size % ring_size == 0, "swa_page_size",
                "must be a positive multiple of ring_size " + std::to_string(ring_size) +
                    " and at most 2^31 - 1, got " + std::to_string(swa_page_size));
  return {data_of<const std::int32_t>(req_to_token), data_of<const std::int64_t>(full_to_swa), req_to_token.size(1),
          static_cast<std::int32_t>(swa_page_size), static_cast<std::int32_t>(ring_size)};
}

}  // namespace dsv4
