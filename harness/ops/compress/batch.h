/// Batches of the compress family: lengths of requests, and the cache maps that their tokens live in. Shared by the
/// family's op definitions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/space.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// Requests of one call. Request b brings its positions [seq_lens[b] - extend_lens[b], seq_lens[b]).
struct Batch {
  std::vector<std::int64_t> request_ids;  ///< row in the pool of requests
  std::vector<std::int64_t> seq_lens;
  std::vector<std::int64_t> extend_lens;

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(seq_lens.size()); }
  [[nodiscard]] std::int64_t tokens() const;
  [[nodiscard]] std::int64_t longest() const;
  [[nodiscard]] std::int64_t prefix(std::int64_t b) const {
    return seq_lens[static_cast<std::size_t>(b)] - extend_lens[static_cast<std::size_t>(b)];
  }
  /// The batch with its requests in the order `order`.
  [[nodiscard]] Batch permuted(const std::vector<std::int64_t>& order) const;
};

/// One token of a batch.
struct BatchToken {
  std::int64_t request = 0;   ///< index in the batch
  std::int64_t position = 0;  ///< in the request
};

/// Every token in ragged order: request after request.
std::vector<BatchToken> tokens_of(const Batch& batch);

/// Requests in a pool that may be used: more than a batch takes, so that ids are not 0, 1, 2, ...
inline std::int64_t pool_size(std::int64_t batch) { return batch + 3; }

/// Parameters of a batch, with an op's usual values and columns: batch, len, spread and, for prefill, extend and mix.
std::vector<ParamSpec> decode_batch(Columns batch, Columns len);
std::vector<ParamSpec> prefill_batch(Columns batch, Columns len, Columns extend);

/// The batch that these parameters stand for; ids and random lengths from `seed`. A decode batch (no parameter
/// `extend`) brings one token a request.
Batch make_batch(const Params& p, std::uint64_t seed);

/// Why a sweep cannot hold the maps of such a batch; nullopt if it can.
std::optional<std::string> too_many_slots(const Params& p);

/// Where tokens live: slots of the full cache by request and position, and their slots in the sliding-window cache.
struct CacheMaps {
  HostTensor req_to_token;  ///< i32 [pool, longest]; what no request has reached points nowhere
  HostTensor full_to_swa;   ///< i64 [slots + 1]; slots in no use 0, the last -1
  std::int64_t page_size = 0;
  std::int64_t ring_size = 0;
  std::int64_t swa_pages = 0;

  /// State rows that the sliding-window cache needs.
  [[nodiscard]] std::int64_t rows() const { return swa_pages * ring_size; }
  /// State row of a token.
  [[nodiscard]] std::int64_t row(std::int64_t request_id, std::int64_t position) const;
};

/// Maps for a batch, by a case's `page`, `ring` and `pages`, where it has them; else pages of 256 in random order.
CacheMaps make_maps(const Batch& batch, const Params& p, std::uint64_t seed);
/// Maps for the first `lengths[i]` positions of request `request_ids[i]`, with room for `positions` in each row. Cache
/// pages come in random order, in both caches, if `shuffled`; page 0 is nobody's, as in the server.
CacheMaps make_maps(const std::vector<std::int64_t>& request_ids, const std::vector<std::int64_t>& lengths,
                    std::int64_t pool, std::int64_t positions, std::int64_t page_size, std::int64_t ring_size,
                    bool shuffled, std::uint64_t seed);

/// i64 [n].
HostTensor numbers(const std::vector<std::int64_t>& values);

}  // namespace dsv4
