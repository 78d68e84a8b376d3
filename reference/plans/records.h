/// Makes the records of plans (interface/compress_plan.h) from a walk over the tokens of a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "interface/compress_plan.h"
#include "reference/plans/walk.h"

namespace dsv4::plans {

/// Which tokens of a batch stay in the state besides the live ones.
struct Keeping {
  /// The last tokens of each request. A verify step of speculative decoding rejects some of its tokens. Then earlier
  /// tokens are live again.
  std::int64_t last = 0;
  /// Size of a page of the sliding-window cache. At ratio 4, the last 4 tokens of each page stay. A request that reuses
  /// the page finds its previous group there. 0: they do not stay.
  std::int64_t cache_page = 0;

  [[nodiscard]] bool keeps(const WalkedToken& token) const {
    return token.live || token.followers < last || token.ends_page;
  }
};

/// Returns how many of the last tokens stay in rings of this size: as many as there is room for, at most 4
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c_plan.cuh:515-516). Upstream does so only for lengths on the device.
inline std::int64_t last_kept(std::int64_t ring_size, std::int64_t ratio) {
  const std::int64_t room = ring_size - ratio;
  return room < 4 ? room : 4;
}

/// The records of both plans of a prefill batch, in the order of the tokens.
struct PrefillRecords {
  std::vector<layout::CompressPlan> compress;
  std::vector<layout::WritePlan> write;
};

/// Returns the page of a state row, and page 0 for a row below 0, which stands for a token that cannot be found.
inline std::int32_t page_of(std::int64_t row, std::int64_t ratio) {
  return row < 0 ? 0 : static_cast<std::int32_t>(row / ratio);
}

/// Makes the plans of a prefill batch. All page fields are filled. `row_of(request id, position)` returns the state row
/// of a token. A state page is named by the row of the first token of its group.
///
/// `row_of` returns -1 for a token that cannot be found. A sentinel takes the place of the records of such a token. If
/// only the first token of a group cannot be found, its page is 0.
template <class RowOf>
PrefillRecords prefill_records(const std::vector<Request>& batch, std::int64_t ratio, const Keeping& keeping,
                               RowOf row_of) {
  PrefillRecords records;
  walk(batch, grouping_of(ratio, keeping.cache_page), [&](const WalkedToken& token) {
    const std::int64_t id = batch[static_cast<std::size_t>(token.request)].id;
    if (token.completes) {
      layout::CompressPlan entry{};
      entry.read_page_0 = page_of(row_of(id, token.group_before), ratio);
      entry.read_page_1 = page_of(row_of(id, token.group), ratio);
      entry.buffer_len = static_cast<std::uint16_t>(token.window_before);
      entry.ragged_id = static_cast<std::uint16_t>(token.row);
      entry.seq_len = static_cast<std::uint32_t>(token.position + 1);
      records.compress.push_back(row_of(id, token.position) < 0 ? layout::kNoCompress : entry);
    }
    if (keeping.keeps(token)) {
      const std::int64_t row = row_of(id, token.position);
      const layout::WritePlan record{static_cast<std::uint32_t>(token.row), static_cast<std::int32_t>(row)};
      records.write.push_back(row < 0 ? layout::kNoWrite : record);
    }
  });
  return records;
}

/// The records of both V1 plans of a prefill batch, in the order of the tokens. They have no addresses.
struct TokenRecords {
  std::vector<layout::TokenPlan> compress;
  std::vector<layout::TokenPlan> write;
};

inline TokenRecords token_records(const std::vector<Request>& batch, const Grouping& grouping) {
  TokenRecords records;
  walk(batch, grouping, [&](const WalkedToken& token) {
    layout::TokenPlan record{};
    record.window_len = static_cast<std::uint32_t>(token.window_before);
    record.position = static_cast<std::uint32_t>(token.position);
    record.batch_id = static_cast<std::uint32_t>(token.request);
    record.ragged_id = static_cast<std::uint32_t>(token.row);
    if (token.completes) records.compress.push_back(record);
    if (token.live) records.write.push_back(record);
  });
  return records;
}

/// Makes the plan of a decode step, in which each request has one new token. All fields are filled, even if the token
/// does not complete a group (c_plan.cuh:338-364). If `row_of` returns -1 for the token of a request, or a request has
/// no token, its record is layout::kNoRequest.
template <class RowOf>
std::vector<layout::DecodePlan> decode_records(const std::vector<Request>& batch, std::int64_t ratio, RowOf row_of) {
  std::vector<layout::DecodePlan> records(batch.size(), layout::kNoRequest);
  walk(batch, grouping_of(ratio), [&](const WalkedToken& token) {
    const Request& request = batch[static_cast<std::size_t>(token.request)];
    layout::DecodePlan record{};
    record.read_page_0 = page_of(row_of(request.id, token.group_before), ratio);
    record.read_page_1 = page_of(row_of(request.id, token.group), ratio);
    record.write_loc = static_cast<std::int32_t>(row_of(request.id, token.position));
    record.seq_len = static_cast<std::uint32_t>(request.length);
    if (record.write_loc >= 0) records[static_cast<std::size_t>(token.request)] = record;
  });
  return records;
}

}  // namespace dsv4::plans
