/// Byte layouts of the plans that drive KV compression, and nothing else.
///
/// A plan tensor is `u8[n, 16]` or `u8[n, 8]`, one packed little-endian record a row. Nothing in the bytes tells the
/// kinds of 16 bytes apart: a consumer that is handed the wrong kind reads nonsense, so keep the names straight.
///
/// Words used below: `ratio` is 4 or 128 tokens per compressed entry; the window of an entry is 8 tokens at ratio 4
/// (its own group and the one before) and 128 at ratio 128; a state page holds `ratio` consecutive state rows; `ragged`
/// numbers the query tokens of a whole batch, request after request.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dsv4::layout {

/// Plan V1, compress and write plan alike: one token.
struct alignas(16) TokenPlan {
  std::uint32_t ragged_id;   ///< row of the token in the batch; all ones: no entry
  std::uint32_t batch_id;    ///< index of the request in the batch
  std::uint32_t position;    ///< position of the token in its request
  std::uint32_t window_len;  ///< leading window entries that lie before this batch
};

/// Plan V2, decode: one request of one new token. Has no sentinel.
struct alignas(16) DecodePlan {
  std::uint32_t seq_len;     ///< length of the request, the new token included
  std::int32_t write_loc;    ///< state row of the new token
  std::int32_t read_page_0;  ///< state page of the group before (ratio 4 alone reads it)
  std::int32_t read_page_1;  ///< state page of the new token's own group
};

/// Plan V2, prefill: one compressed entry that the batch completes.
struct alignas(16) CompressPlan {
  std::uint32_t seq_len;     ///< position of the entry's last token + 1, a multiple of the ratio; all ones: no entry
  std::uint16_t ragged_id;   ///< row in the batch of the entry's last token
  std::uint16_t buffer_len;  ///< leading window entries to be read from the state, not from the batch
  // Without meaning if buffer_len = 0:
  std::int32_t read_page_0;  ///< state page of the group before (ratio 4 alone reads it)
  std::int32_t read_page_1;  ///< state page of the entry's own group
};

/// Plan V2, prefill: one token whose row is kept in the state.
struct alignas(8) WritePlan {
  std::uint32_t ragged_id;  ///< row of the token in the batch; all ones: no entry
  std::int32_t write_loc;   ///< state row that it goes to
};

/// Value of the field that marks a record as empty: `ragged_id` of TokenPlan and WritePlan, `seq_len` of CompressPlan.
inline constexpr std::uint32_t kNoEntry = 0xffffffffu;

/// The records that pad a plan to its fixed size, exact in every byte.
inline constexpr TokenPlan kNoToken{kNoEntry, kNoEntry, kNoEntry, kNoEntry};
inline constexpr CompressPlan kNoCompress{kNoEntry, 0, 0, -1, -1};
inline constexpr WritePlan kNoWrite{kNoEntry, -1};

static_assert(sizeof(TokenPlan) == 16 && alignof(TokenPlan) == 16);
static_assert(offsetof(TokenPlan, ragged_id) == 0 && offsetof(TokenPlan, batch_id) == 4);
static_assert(offsetof(TokenPlan, position) == 8 && offsetof(TokenPlan, window_len) == 12);

static_assert(sizeof(DecodePlan) == 16 && alignof(DecodePlan) == 16);
static_assert(offsetof(DecodePlan, seq_len) == 0 && offsetof(DecodePlan, write_loc) == 4);
static_assert(offsetof(DecodePlan, read_page_0) == 8 && offsetof(DecodePlan, read_page_1) == 12);

static_assert(sizeof(CompressPlan) == 16 && alignof(CompressPlan) == 16);
static_assert(offsetof(CompressPlan, seq_len) == 0 && offsetof(CompressPlan, ragged_id) == 4);
static_assert(offsetof(CompressPlan, buffer_len) == 6);
static_assert(offsetof(CompressPlan, read_page_0) == 8 && offsetof(CompressPlan, read_page_1) == 12);

static_assert(sizeof(WritePlan) == 8 && alignof(WritePlan) == 8);
static_assert(offsetof(WritePlan, ragged_id) == 0 && offsetof(WritePlan, write_loc) == 4);

}  // namespace dsv4::layout
