/// Byte layouts of the plans that drive KV compression. This header contains nothing else.
///
/// A plan tensor is `u8[n, 16]` or `u8[n, 8]`, with one packed little-endian record per row. The bytes do not say which
/// kind of 16-byte record they are. A consumer that gets the wrong kind reads wrong values.
///
/// Words used below: `ratio` is the number of tokens per compressed entry, 4 or 128. The window of an entry has 8
/// tokens at ratio 4 (its own group and the previous one), and 128 at ratio 128. A state page holds `ratio` consecutive
/// state rows. `ragged` numbers the query tokens of a whole batch, request after request.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dsv4::layout {

/// Plan V1, for the compress plan and the write plan: one token.
struct alignas(16) TokenPlan {
  std::uint32_t ragged_id;   ///< row of the token in the batch; all ones: no entry
  std::uint32_t batch_id;    ///< index of the request in the batch
  std::uint32_t position;    ///< position of the token in its request
  std::uint32_t window_len;  ///< leading window entries that lie before this batch
};

/// Plan V2, decode: one request with one new token. It has no sentinel.
struct alignas(16) DecodePlan {
  std::uint32_t seq_len;     ///< length of the request, the new token included
  std::int32_t write_loc;    ///< state row of the new token
  std::int32_t read_page_0;  ///< state page of the previous group (read only at ratio 4)
  std::int32_t read_page_1;  ///< state page of the new token's own group
};

/// Plan V2, prefill: one compressed entry that the batch completes.
struct alignas(16) CompressPlan {
  std::uint32_t seq_len;     ///< position of the entry's last token + 1, a multiple of the ratio; all ones: no entry
  std::uint16_t ragged_id;   ///< row in the batch of the entry's last token
  std::uint16_t buffer_len;  ///< leading window entries that are read from the state, not from the batch
  // These have no meaning if buffer_len = 0:
  std::int32_t read_page_0;  ///< state page of the previous group (read only at ratio 4)
  std::int32_t read_page_1;  ///< state page of the entry's own group
};

/// Plan V2, prefill: one token whose row is kept in the state.
struct alignas(8) WritePlan {
  std::uint32_t ragged_id;  ///< row of the token in the batch; all ones: no entry
  std::int32_t write_loc;   ///< state row to which it is written
};

/// Value of the field that marks a record as empty: `ragged_id` of TokenPlan and WritePlan, `seq_len` of CompressPlan.
inline constexpr std::uint32_t kNoEntry = 0xffffffffu;

/// The records that pad a plan to its fixed size. Every byte of them is specified.
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
