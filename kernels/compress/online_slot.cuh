/// Computes on the device the slot of a group in online compression (interface/compress_plan.h).
#pragma once

#include "kernels/compress/online_segments.h"
#include "kernels/compress/state_address.cuh"

namespace dsv4 {

/// Returns the slot of the group that holds the request's token at `position`: the page of the sliding-window cache
/// that holds the first token of the group. Returns -1 if that token is not in the maps.
DSV4_DEVICE std::int32_t online_slot(const SwaAddress& address, std::int64_t request_id, std::int32_t position) {
  return address.row(request_id, position - position % kOnlineGroup);
}

/// Checks the maps and the page size. The result has one state row for each page of the sliding-window cache.
inline SwaAddress online_address(ArgumentCheck& check, const TensorView& req_to_token, const TensorView& full_to_swa,
                                 std::int64_t swa_page_size) {
  return swa_address(check, req_to_token, full_to_swa, /*ratio=*/1, swa_page_size, /*ring_size=*/1);
}

}  // namespace dsv4
