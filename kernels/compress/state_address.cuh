/// Computes on the device which state row belongs to a token. A state page consists of `ratio` consecutive state rows.
#pragma once

#include <cstdint>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr std::int64_t kLargestRow = 0x7FFFFFFF;

/// Computes the state row from the token's slot in the sliding-window cache (SWA). Each page of that cache has its own
/// ring of `ring_size` state rows.
struct SwaAddress {
  const std::int32_t* req_to_token;  ///< [requests, positions]
  const std::int64_t* full_to_swa;
  std::int64_t requests;   ///< rows of req_to_token
  std::int64_t positions;  ///< row length of req_to_token
  std::int64_t slots;      ///< size of full_to_swa
  std::int32_t page_size;
  std::int32_t ring_size;

  /// Returns -1 if the request, the position or a slot is outside its map. The maps are on the device, so the host
  /// cannot check their contents.
  DSV4_DEVICE std::int32_t row(std::int64_t request_id, std::int32_t position) const {
    if (request_id < 0 || request_id >= requests || position < 0 || position >= positions) return -1;
    const std::int64_t full_slot = req_to_token[request_id * positions + position];
    if (full_slot < 0 || full_slot >= slots) return -1;
    const std::int64_t swa_slot = full_to_swa[full_slot];
    if (swa_slot < 0 || swa_slot > kLargestRow) return -1;
    const auto slot = static_cast<std::int32_t>(swa_slot);
    return slot / page_size * ring_size + slot % ring_size;
  }
};

/// Each request has its own ring of state rows: 8 rows at ratio 4, and 128 rows at ratio 128.
struct RingAddress {
  std::int32_t rows_per_request;

  /// Returns -1 if there is no such request or position, or if the row needs more than 31 bits.
  DSV4_DEVICE std::int32_t row(std::int64_t request_id, std::int32_t position) const {
    if (request_id < 0 || request_id >= kLargestRow / rows_per_request || position < 0) return -1;
    return static_cast<std::int32_t>(request_id) * rows_per_request + position % rows_per_request;
  }
};

inline void check_ratio(const ArgumentCheck& check, std::int64_t ratio) {
  check.require(ratio == 4 || ratio == 128, "compress_ratio", "must be 4 or 128, got ", ratio);
}

inline RingAddress ring_address(std::int64_t ratio) { return {ratio == 4 ? 8 : 128}; }

/// Checks the arguments of a SwaAddress and makes it. `ratio` must have been checked before.
inline SwaAddress swa_address(ArgumentCheck& check, const TensorView& req_to_token, const TensorView& full_to_swa,
                              std::int64_t ratio, std::int64_t swa_page_size, std::int64_t ring_size) {
  check.tensor("req_to_token", req_to_token).dtype({kInt32}).shape({kAnySize, kAnySize}).on_cuda().contiguous();
  check.tensor("full_to_swa", full_to_swa).dtype({kInt64}).shape({kAnySize}).on_cuda().contiguous();
  check.require(ring_size > 0 && ring_size <= kLargestRow && ring_size % ratio == 0, "ring_size",
                "must be a positive multiple of compress_ratio ", ratio, " and at most 2^31 - 1, got ", ring_size);
  check.require(swa_page_size > 0 && swa_page_size <= kLargestRow && swa_page_size % ring_size == 0, "swa_page_size",
                "must be a positive multiple of ring_size ", ring_size, " and at most 2^31 - 1, got ", swa_page_size);
  return {data_of<const std::int32_t>(req_to_token),
          data_of<const std::int64_t>(full_to_swa),
          req_to_token.size(0),
          req_to_token.size(1),
          full_to_swa.size(0),
          static_cast<std::int32_t>(swa_page_size),
          static_cast<std::int32_t>(ring_size)};
}

}  // namespace dsv4
