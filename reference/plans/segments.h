/// Makes the records of online plans (interface/compress_plan.h) from a walk over the tokens of a batch.
///
/// The rules are those of upstream's planners: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128_online_v2.cuh:539-554
/// (decode) and :628-704 (prefill). Those of V1 are in c128_online.cuh:626-685.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "interface/compress_plan.h"
#include "reference/plans/walk.h"

namespace dsv4::plans {

/// The grouping of online plans: groups of 128 tokens, which do not overlap.
inline constexpr Grouping kOnlineGrouping{128, false, 0};

/// A run of new tokens of one request in one group.
struct Segment {
  WalkedToken last;     ///< its last token
  std::int64_t tokens;  ///< number of tokens
};

/// Calls visit(segment) for each segment of the batch, in the order of the tokens. A segment grows token by token. It
/// ends with its group, or with the request.
template <class Visit>
void walk_segments(const std::vector<Request>& batch, Visit visit) {
  std::int64_t tokens = 0;
  walk(batch, kOnlineGrouping, [&](const WalkedToken& token) {
    ++tokens;
    if (!token.completes && token.followers > 0) return;
    visit(Segment{token, tokens});
    tokens = 0;
  });
}

/// The records of both online plans of a prefill batch, in the order of the tokens.
struct OnlineRecords {
  std::vector<layout::CompressPlan> compress;  ///< segments that complete their group
  std::vector<layout::CompressPlan> write;     ///< segments of open groups: at most one of a request, its last one
};

/// Makes the online plans of a prefill batch. `slot_of(request id, position)` returns the slot of the group that begins
/// at this position, or -1 if it cannot be found. Then a sentinel takes the place of the record.
template <class SlotOf>
OnlineRecords online_records(const std::vector<Request>& batch, SlotOf slot_of) {
  OnlineRecords records;
  walk_segments(batch, [&](const Segment& segment) {
    const WalkedToken& last = segment.last;
    layout::CompressPlan record{};
    record.seq_len = static_cast<std::uint32_t>(last.position + 1);
    record.ragged_id = static_cast<std::uint16_t>(last.row);
    record.buffer_len = static_cast<std::uint16_t>(segment.tokens);
    record.read_page_0 =
        static_cast<std::int32_t>(slot_of(batch[static_cast<std::size_t>(last.request)].id, last.group));
    record.read_page_1 = -1;
    if (record.read_page_0 < 0) record = layout::kNoCompress;
    (last.completes ? records.compress : records.write).push_back(record);
  });
  return records;
}

/// The records of both online plans of V1, in the order of the tokens. They say nothing about slots.
struct OnlineTokenRecords {
  std::vector<layout::TokenPlan> compress;
  std::vector<layout::TokenPlan> write;
};

inline OnlineTokenRecords online_token_records(const std::vector<Request>& batch) {
  std::vector<layout::TokenPlan> complete, open;
  walk_segments(batch, [&](const Segment& segment) {
    const WalkedToken& last = segment.last;
    layout::TokenPlan record{};
    record.window_len = static_cast<std::uint32_t>(segment.tokens);
    record.position = static_cast<std::uint32_t>(last.position);
    record.batch_id = static_cast<std::uint32_t>(last.request);
    record.ragged_id = static_cast<std::uint32_t>(last.row);
    (last.completes ? complete : open).push_back(record);
  });
  return {std::move(complete), std::move(open)};
}

/// Makes the online plan of a decode step, in which each request has one new token. If the slot of a request's group
/// cannot be found, or a request has no token, its record is layout::kNoRequest.
template <class SlotOf>
std::vector<layout::DecodePlan> online_decode_records(const std::vector<Request>& batch, SlotOf slot_of) {
  std::vector<layout::DecodePlan> records(batch.size(), layout::kNoRequest);
  walk(batch, kOnlineGrouping, [&](const WalkedToken& token) {
    const Request& request = batch[static_cast<std::size_t>(token.request)];
    const auto slot = static_cast<std::int32_t>(slot_of(request.id, token.group));
    if (slot < 0) return;
    records[static_cast<std::size_t>(token.request)] = {static_cast<std::uint32_t>(request.length), slot, slot, -1};
  });
  return records;
}

}  // namespace dsv4::plans
