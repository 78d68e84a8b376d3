/// Batches of requests, and the cache maps that say where their tokens live. Shared by the ops of a serving step.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/space.h"
#include "harness/core/tensor.h"
#include "harness/generate/random.h"

namespace dsv4 {

/// Requests of one call. Request b brings its positions [seq_lens[b] - extend_lens[b], seq_lens[b]).
struct Batch {
  std::vector<std::int64_t> request_ids;  ///< row in the pool of requests
  std::vector<std::int64_t> seq_lens;
  std::vector<std::int64_t> extend_lens;

  [[nodiscard]] std::int64_t size() const { return std::ssize(seq_lens); }
  [[nodiscard]] std::int64_t tokens() const;
  [[nodiscard]] std::int64_t longest() const;
  /// Lengths before the batch's new tokens.
  [[nodiscard]] std::vector<std::int64_t> prefixes() const;
  /// The batch with its requests in the order `order`.
  [[nodiscard]] Batch permuted(const std::vector<std::int64_t>& order) const;
};

/// One new token of a batch.
struct BatchToken {
  std::int64_t row = 0;       ///< in the batch's ragged order, request after request
  std::int64_t request = 0;   ///< index in the batch
  std::int64_t id = 0;        ///< of the request
  std::int64_t position = 0;  ///< in the request
  std::int64_t prefix = 0;    ///< first new position of the request
  std::int64_t seq_len = 0;   ///< of the request
};

/// Every new token in ragged order: request after request.
std::vector<BatchToken> tokens_of(const Batch& batch);

/// Requests that a pool has room for. A batch takes fewer, so that its ids are not 0, 1, 2, ...
inline std::int64_t pool_size(std::int64_t batch) { return batch + 3; }

/// Parameters of a batch, with an op's usual values and columns: batch, len, spread and, for prefill, extend and mix.
std::vector<ParamSpec> decode_batch(Columns batch, Columns len);
std::vector<ParamSpec> prefill_batch(Columns batch, Columns len, Columns extend);

/// The batch that these parameters stand for; ids and random lengths come from `seed`. In a decode batch, which has no
/// parameter `extend`, each request brings one token.
Batch make_batch(const Params& p, std::uint64_t seed);

/// The most tokens that a request of such a batch may have, and may bring.
std::int64_t longest_request(const Params& p);
std::int64_t longest_extend(const Params& p);

/// Why a sweep cannot hold the maps of such a batch; nullopt if it can.
std::optional<std::string> too_many_slots(const Params& p);

/// State row, or another place, of a token by (request id, position).
using RowOf = std::function<std::int64_t(std::int64_t, std::int64_t)>;

/// Slots of tokens in the full cache, by request and position, and their slots in the sliding-window cache.
struct CacheMaps {
  HostTensor req_to_token;  ///< i32 [pool, longest]; positions that no request has reached hold an invalid slot
  HostTensor full_to_swa;   ///< i64 [slots + 1]; unused slots hold 0, the last one -1
  std::int64_t page_size = 0;
  std::int64_t ring_size = 0;
  std::int64_t swa_pages = 0;

  /// State rows that the sliding-window cache needs.
  [[nodiscard]] std::int64_t rows() const { return swa_pages * ring_size; }
  /// State row of a token.
  [[nodiscard]] std::int64_t row(std::int64_t request_id, std::int64_t position) const;
  /// row() as a function, which must not outlive the maps.
  [[nodiscard]] RowOf row_of() const {
    return [this](std::int64_t id, std::int64_t position) { return row(id, position); };
  }
};

struct CacheForm {
  std::int64_t pool = 0;  ///< requests of the pool
  std::int64_t page_size = 256;
  std::int64_t ring_size = 8;
  bool shuffled = true;  ///< pages come in random order, in both caches
};

/// Parameters of maps: `ring`, `page` and `pages`.
std::vector<ParamSpec> cache_params();
/// Why the ring and the page do not fit together, or not groups of `ratio` tokens; nullopt if they do.
std::optional<std::string> reject_cache(const Params& p, std::int64_t ratio);

/// Maps for the tokens of a batch, old and new. Page 0 belongs to no request, as in the server.
CacheMaps make_maps(const Batch& batch, const CacheForm& form, std::uint64_t seed);
/// The same by a case's parameters `ring` and, where it has them, `page` and `pages`.
CacheMaps make_maps(const Batch& batch, const Params& p, std::uint64_t seed);

/// Requests that grow step by step, from no tokens, and the maps that they live in all the while.
class GrowingBatch {
 public:
  /// The requests of `batch`, each with room for `longest` tokens. Maps are made by the case's parameters.
  GrowingBatch(Batch batch, std::int64_t longest, const Params& p, std::uint64_t seed);

  [[nodiscard]] const std::vector<std::int64_t>& ids() const { return ids_; }
  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return lengths_; }
  [[nodiscard]] const CacheMaps& maps() const { return maps_; }

  /// Appends `extend[b]` tokens to request b. Returns the batch of the step: requests without new tokens are not in it.
  Batch grow(const std::vector<std::int64_t>& extend);
  /// Appends `extend` tokens to each request.
  Batch grow(std::int64_t extend) { return grow(std::vector<std::int64_t>(ids_.size(), extend)); }
  /// Request b loses its last `tokens` tokens.
  void take_back(std::size_t b, std::int64_t tokens) { lengths_[b] -= tokens; }
  /// Counts for grow() on the way to the lengths `goal`: random ones, up to `most` each. Empty once all are reached.
  [[nodiscard]] std::vector<std::int64_t> next_chunk(const std::vector<std::int64_t>& goal, std::int64_t most,
                                                     Random& random) const;

 private:
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> lengths_;
  CacheMaps maps_;
};

}  // namespace dsv4
