/// Byte layouts of the plans for KV compression. A plan says which tokens a call compresses or stores, and where their
/// rows are. This header contains only these layouts.
///
/// A plan tensor is `u8[n, 16]` or `u8[n, 8]`, with one packed little-endian record per row. Three kinds of record have
/// 16 bytes, and the bytes do not show the kind. A kernel that gets records of the wrong kind reads wrong values.
///
/// Words used below: `ratio` is the number of tokens per compressed entry, 4 or 128. The window of an entry has 8
/// tokens at ratio 4 (its own group and the previous one), and 128 at ratio 128. The state keeps rows of tokens between
/// calls. A state page holds `ratio` consecutive state rows. `ragged_id` is the number of a token in the whole batch,
/// where the tokens are numbered request after request.
///
/// Online compression at ratio 128 keeps no rows of tokens. A slot of its state holds the running softmax of the tokens
/// of one open group: for each column the largest score, the sum of the weights, and the weighted mean of kv. V2 online
/// plans use two of the records below with other meanings:
///
/// - DecodePlan: `write_loc` and `read_page_0` are the slot of the new token's group, and `read_page_1` is -1.
/// - CompressPlan: a segment, which is a run of new tokens of one request in one group. `seq_len` and `ragged_id` are
///   those of its last token, `buffer_len` is its number of tokens, `read_page_0` is the slot of its group, and
///   `read_page_1` is -1. Segments that complete their group are in plan_c. The others are in plan_w, and are kept.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dsv4::layout {

/// Record of a V1 plan (compress plan or write plan): one token.
struct alignas(16) TokenPlan {
  std::uint32_t ragged_id;   ///< row of the token in the batch; all bits 1: no entry
  std::uint32_t batch_id;    ///< index of the request in the batch
  std::uint32_t position;    ///< position of the token in its request
  std::uint32_t window_len;  ///< how many tokens of the window are before this batch
};

/// Record of the V2 plan of a decode step: one request with one new token.
struct alignas(16) DecodePlan {
  std::uint32_t seq_len;     ///< length of the request, the new token included; 0: no token
  std::int32_t write_loc;    ///< state row of the new token
  std::int32_t read_page_0;  ///< state page of the previous group (read only at ratio 4)
  std::int32_t read_page_1;  ///< state page of the new token's own group
};

/// Record of a V2 plan of a prefill batch: one compressed entry that the batch completes.
struct alignas(16) CompressPlan {
  std::uint32_t seq_len;     ///< position of the entry's last token + 1, a multiple of the ratio; all bits 1: no entry
  std::uint16_t ragged_id;   ///< row in the batch of the entry's last token
  std::uint16_t buffer_len;  ///< how many tokens of the window, from the first one, are read from the state
  // The two pages have no meaning if buffer_len = 0.
  std::int32_t read_page_0;  ///< state page of the previous group (read only at ratio 4)
  std::int32_t read_page_1;  ///< state page of the entry's own group
};

/// Record of a V2 plan of a prefill batch: one token whose row is kept in the state.
struct alignas(8) WritePlan {
  std::uint32_t ragged_id;  ///< row of the token in the batch; all bits 1: no entry
  std::int32_t write_loc;   ///< state row to which the token's row is written
};

/// The value that marks a record as empty (a sentinel). It is in `ragged_id` of a TokenPlan or WritePlan, and in
/// `seq_len` of a CompressPlan.
inline constexpr std::uint32_t kNoEntry = 0xffffffffu;

/// The sentinels. They fill the unused rows of a plan that has a fixed size. All their bytes are specified.
inline constexpr TokenPlan kNoToken{kNoEntry, kNoEntry, kNoEntry, kNoEntry};
inline constexpr CompressPlan kNoCompress{kNoEntry, 0, 0, -1, -1};
inline constexpr WritePlan kNoWrite{kNoEntry, -1};

/// The record of a decode plan for a request whose token cannot be found: the length is not positive, or the token is
/// not in the maps. For example, such requests pad a batch to the size of a captured graph. The compressor skips the
/// record. Row 0 and page 0 belong to no request of the sliding-window cache, so that a compressor that does not skip
/// it changes no request's rows there.
inline constexpr DecodePlan kNoRequest{0, 0, 0, 0};

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
