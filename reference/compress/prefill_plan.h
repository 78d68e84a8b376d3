/// Makes the V2 plans (interface/compress_plan.h) of a prefill batch. batch.h defines the sets of tokens, and
/// state_address.h computes the state rows.
#pragma once

#include <tvm/ffi/container/tuple.h>

#include "interface/compress_plan.h"
#include "reference/compress/batch.h"

namespace dsv4::reference {

/// Largest number of tokens of a batch. A CompressPlan stores the token's row in the batch in 16 bits.
inline constexpr std::int64_t kMaxQueryTokens = 65535;

/// Bytes of pinned memory that a caller provides for each query token: one record of each plan.
inline constexpr std::int64_t kPinBytesPerToken = sizeof(layout::CompressPlan) + sizeof(layout::WritePlan);

/// Checks the scalar arguments of the two V2 prefill planners. Throws a ValueError that names the argument.
inline void check_plan_size(const char* op, std::int64_t requests, std::int64_t num_q_tokens, std::int64_t ratio) {
  if (ratio != 4 && ratio != 128) refuse(op, "compress_ratio", "expected 4 or 128, got " + std::to_string(ratio));
  if (num_q_tokens < requests || num_q_tokens > kMaxQueryTokens) {
    refuse(op, "num_q_tokens",
           "expected at least one token per request (" + std::to_string(requests) + ") and at most " +
               std::to_string(kMaxQueryTokens) + ", got " + std::to_string(num_q_tokens));
  }
}

/// Throws a ValueError unless `pin_buffer` is large enough for two plans of `num_q_tokens` rows. A reference does not
/// access the buffer.
inline void check_pin_buffer(const char* op, const View<const std::uint8_t, 1>& pin_buffer, std::int64_t num_q_tokens) {
  if (pin_buffer.expect_contiguous().size(0) < num_q_tokens * kPinBytesPerToken) {
    refuse(op, "pin_buffer",
           "expected at least " + std::to_string(num_q_tokens * kPinBytesPerToken) + " bytes, got " +
               std::to_string(pin_buffer.size(0)));
  }
}

/// The rule that decides which rows a prefill keeps in the state.
struct KeepRule {
  std::int64_t ratio;
  std::int64_t pad;  ///< number of last tokens that are also kept, because speculative decoding may reject tokens
  /// Page size of the cache if the last 4 tokens of each page are also kept, for requests that reuse a prefix.
  /// Otherwise 0.
  std::int64_t tail_page;

  [[nodiscard]] bool keeps(std::int64_t position, std::int64_t seq_len) const {
    const bool live = position >= first_live(seq_len, ratio);
    const bool may_be_taken_back = position >= seq_len - pad;
    const bool tail = tail_page > 0 && ratio == 4 && position % tail_page >= tail_page - 4;
    return live || may_be_taken_back || tail;
  }
};

/// Returns two plans in ragged order: first CompressPlan records, then WritePlan records. If `padded`, each plan has
/// num_q_tokens rows, and the rows after the records are sentinels (marked as empty). The page fields of each
/// CompressPlan are filled.
template <class Address>
tvm::ffi::Tuple<Tensor, Tensor> prefill_plan(const Numbers& request_ids, const Numbers& seq_lens,
                                             const Numbers& extend_lens, std::int64_t num_q_tokens,
                                             const KeepRule& rule, const Address& address, bool padded) {
  std::vector<layout::CompressPlan> compress;
  std::vector<layout::WritePlan> write;
  for (const QueryToken& token : query_tokens(seq_lens, extend_lens)) {
    const std::int64_t length = seq_lens(token.request);
    const std::int64_t prefix = length - extend_lens(token.request);
    const std::int64_t request_id = request_ids(token.request);
    if (completes_entry(token.position, rule.ratio)) {
      const std::int64_t before = std::max<std::int64_t>(token.position - rule.ratio, 0);
      compress.push_back(
          {static_cast<std::uint32_t>(token.position + 1), static_cast<std::uint16_t>(token.ragged),
           static_cast<std::uint16_t>(window_before_batch(token.position, prefix, window_of(rule.ratio))),
           static_cast<std::int32_t>(address.row(request_id, before) / rule.ratio),
           static_cast<std::int32_t>(address.row(request_id, token.position) / rule.ratio)});
    }
    if (rule.keeps(token.position, length)) {
      write.push_back({static_cast<std::uint32_t>(token.ragged),
                       static_cast<std::int32_t>(address.row(request_id, token.position))});
    }
  }
  if (padded) {
    compress.resize(num_q_tokens, layout::kNoCompress);
    write.resize(num_q_tokens, layout::kNoWrite);
  }
  return tvm::ffi::Tuple<Tensor, Tensor>(new_plan(compress), new_plan(write));
}

}  // namespace dsv4::reference
