/// The arguments that planners share, and their checks. Every check throws a ValueError that names the argument.
#pragma once

#include <tvm/ffi/container/tuple.h>

#include <cstdint>
#include <string>
#include <vector>

#include "interface/compress_plan.h"
#include "reference/compress/plan_tensors.h"
#include "reference/plans/records.h"
#include "reference/plans/state_rows.h"

namespace dsv4::reference {

/// Longest request that a reference plans. A reference walks every token of a request.
inline constexpr std::int64_t kLongest = std::int64_t{1} << 24;

/// Checks the ratio of a V2 plan.
inline void check_v2_ratio(const char* op, std::int64_t ratio) {
  if (ratio != 4 && ratio != 128) refuse(op, "compress_ratio", "expected 4 or 128, got " + std::to_string(ratio));
}

/// Returns the requests of a prefill batch of `rows` rows.
///
/// If `underfilled` is true, the batch may have fewer tokens than rows, and a request may have no token in the batch. A
/// plan for a captured graph needs this: it has a fixed size, which is that of the graph's largest batch. If
/// `underfilled` is false, each request must have at least one token in the batch, and the batch must have exactly
/// `rows` tokens. In both cases, a request cannot have more tokens in the batch than its length.
inline std::vector<plans::Request> prefill_requests(const char* op, const Numbers& ids, const Numbers& lengths,
                                                    const Numbers& new_tokens, std::int64_t rows, bool underfilled) {
  const std::int64_t least = underfilled ? 0 : 1;
  std::int64_t sum = 0;
  std::vector<plans::Request> requests;
  for (std::int64_t b = 0; b < lengths.size(0); ++b) {
    const std::string index = "[" + std::to_string(b) + "] = ";
    if (new_tokens(b) < least) {
      refuse(op, "extend_lens", index + std::to_string(new_tokens(b)) + " must be at least " + std::to_string(least));
    }
    if (new_tokens(b) > lengths(b)) {
      refuse(op, "extend_lens",
             index + std::to_string(new_tokens(b)) + " must be at most the length " + std::to_string(lengths(b)));
    }
    if (lengths(b) > kLongest) {
      refuse(op, "seq_lens", index + std::to_string(lengths(b)) + " must be at most 2^24 in this reference");
    }
    sum += new_tokens(b);
    requests.push_back({ids(b), lengths(b), new_tokens(b)});
  }
  if (underfilled ? sum > rows : sum != rows) {
    refuse(op, "extend_lens",
           std::string("the sum must be ") + (underfilled ? "at most " : "") + std::to_string(rows) +
               ", the number of rows of the batch, got " + std::to_string(sum));
  }
  return requests;
}

/// Returns the requests of a decode step. Each has one new token, unless its length is below 1 or above `longest`.
inline std::vector<plans::Request> decode_requests(const char* op, const Numbers& ids, const Numbers& lengths,
                                                   std::int64_t longest) {
  std::vector<plans::Request> requests;
  for (std::int64_t b = 0; b < lengths.size(0); ++b) {
    const bool has_token = lengths(b) >= 1 && lengths(b) <= longest;
    if (has_token && lengths(b) > kLongest) {
      refuse(op, "seq_lens",
             "[" + std::to_string(b) + "] = " + std::to_string(lengths(b)) + " must be at most 2^24 in this reference");
    }
    requests.push_back({ids(b), has_token ? lengths(b) : 0, has_token ? 1 : 0});
  }
  return requests;
}

/// Checks the number of query tokens of a V2 prefill plan, and the size of the pinned memory for `staged` of them. A
/// CompressPlan numbers tokens with 16 bits. A reference does not use the pinned memory.
inline void check_prefill_size(const char* op, std::int64_t requests, std::int64_t query_tokens,
                               const View<const std::uint8_t, 1>& pin_buffer, std::int64_t staged) {
  constexpr std::int64_t kMost = 0xffff;
  if (query_tokens < requests || query_tokens > kMost) {
    refuse(op, "num_q_tokens",
           "expected at least one token per request (" + std::to_string(requests) + ") and at most " +
               std::to_string(kMost) + ", got " + std::to_string(query_tokens));
  }
  const auto least = staged * static_cast<std::int64_t>(sizeof(layout::CompressPlan) + sizeof(layout::WritePlan));
  if (pin_buffer.expect_contiguous().size(0) < least) {
    refuse(op, "pin_buffer",
           "expected at least " + std::to_string(least) + " bytes, got " + std::to_string(pin_buffer.size(0)));
  }
}

/// Finds state rows through the two maps of the caches. A token has a slot of the full cache, and that slot has a slot
/// of the sliding-window cache. Each page of the sliding-window cache has a ring of state rows.
class CacheRows {
 public:
  /// `page_rows` is the number of state rows that must stay together in a ring; 0: `ratio`.
  CacheRows(const char* op, TensorView req_to_token, TensorView full_to_swa, std::int64_t ratio, std::int64_t page_size,
            std::int64_t ring_size, std::int64_t page_rows = 0)
      : req_to_token_(op, "req_to_token", req_to_token),
        full_to_swa_(op, "full_to_swa", full_to_swa),
        rings_(page_size, ring_size) {
    check_v2_ratio(op, ratio);
    check_multiple(op, "ring_size", ring_size, "compress_ratio", page_rows == 0 ? ratio : page_rows);
    check_multiple(op, "swa_page_size", page_size, "ring_size", ring_size);
    req_to_token_.expect_contiguous();
    full_to_swa_.expect_contiguous();
  }

  /// Returns -1 if the request, the position or a slot is outside its map, or if the slot needs more than 31 bits.
  std::int64_t operator()(std::int64_t request_id, std::int64_t position) {
    const auto inside = [](std::int64_t index, std::int64_t size) { return index >= 0 && index < size; };
    if (!inside(request_id, req_to_token_.size(0)) || !inside(position, positions())) return -1;
    const std::int64_t full_slot = req_to_token_(request_id, position);
    if (!inside(full_slot, full_to_swa_.size(0))) return -1;
    const std::int64_t slot = full_to_swa_(full_slot);
    return inside(slot, std::int64_t{1} << 31) ? rings_.row_of(slot) : -1;
  }
  /// Number of positions of a request in the map.
  [[nodiscard]] std::int64_t positions() const { return req_to_token_.size(1); }

 private:
  static void check_multiple(const char* op, const char* name, std::int64_t value, const char* of_name,
                             std::int64_t of) {
    if (value >= 1 && value % of == 0) return;
    refuse(op, name,
           std::string("expected a positive multiple of ") + of_name + " " + std::to_string(of) + ", got " +
               std::to_string(value));
  }

  View<const std::int32_t, 2> req_to_token_;  ///< [requests, positions] -> slot of the full cache
  View<const std::int64_t, 1> full_to_swa_;   ///< slot of the full cache -> slot of the sliding-window cache
  plans::CacheRings rings_;
};

/// Finds the slots of online compression: each page of the sliding-window cache is one slot.
inline CacheRows online_slots(const char* op, TensorView req_to_token, TensorView full_to_swa, std::int64_t page_size) {
  return CacheRows(op, req_to_token, full_to_swa, 128, page_size, /*ring_size=*/1, /*page_rows=*/1);
}

/// Finds state rows in the rings of the requests.
class RequestRows {
 public:
  RequestRows(const char* op, std::int64_t ratio)
      : rings_((check_v2_ratio(op, ratio), ratio)), rows_(ratio == 4 ? 8 : 128) {}

  /// Returns -1 for a request id that is negative, or so large that its rows need more than 31 bits.
  std::int64_t operator()(std::int64_t request_id, std::int64_t position) {
    return request_id < 0 || request_id >= 0x7fffffff / rows_ ? -1 : rings_.row_of(request_id, position);
  }

 private:
  plans::RequestRings rings_;
  std::int64_t rows_;  ///< of one request
};

/// Returns both plans of a prefill batch as tensors. If `rows` is not negative, each plan has this number of rows, and
/// the rows after the records are sentinels (marked as empty).
inline tvm::ffi::Tuple<Tensor, Tensor> prefill_tensors(plans::PrefillRecords records, std::int64_t rows) {
  if (rows >= 0) {
    records.compress.resize(static_cast<std::size_t>(rows), layout::kNoCompress);
    records.write.resize(static_cast<std::size_t>(rows), layout::kNoWrite);
  }
  return tvm::ffi::Tuple<Tensor, Tensor>(new_plan(records.compress), new_plan(records.write));
}

}  // namespace dsv4::reference
