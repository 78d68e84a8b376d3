/// Batches of requests, and the cache maps that give the places of their tokens. Ops of a serving step share them.
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

/// The requests of one call. Request b's new tokens have positions [seq_lens[b] - extend_lens[b], seq_lens[b]).
struct Batch {
  std::vector<std::int64_t> request_ids;  ///< row of each request in the pool of requests
  std::vector<std::int64_t> seq_lens;
  std::vector<std::int64_t> extend_lens;

  [[nodiscard]] std::int64_t size() const { return std::ssize(seq_lens); }
  [[nodiscard]] std::int64_t tokens() const;
  [[nodiscard]] std::int64_t longest() const;
  /// The length of each request without its new tokens.
  [[nodiscard]] std::vector<std::int64_t> prefixes() const;
  /// The same requests in another order: request i of the result is request `order[i]` of this batch.
  [[nodiscard]] Batch permuted(const std::vector<std::int64_t>& order) const;
};

/// One new token of a batch.
struct BatchToken {
  std::int64_t row = 0;       ///< row in the batch, whose tokens are in ragged order (request after request)
  std::int64_t request = 0;   ///< index of the request in the batch
  std::int64_t id = 0;        ///< id of the request
  std::int64_t position = 0;  ///< position in the request
  std::int64_t prefix = 0;    ///< position of the request's first new token
  std::int64_t seq_len = 0;   ///< length of the request
};

/// All new tokens, request after request. This is the ragged order.
std::vector<BatchToken> tokens_of(const Batch& batch);

/// Number of requests that a pool can hold. A batch has fewer requests, so that its ids are not always 0, 1, 2, ...
inline std::int64_t pool_size(std::int64_t batch) { return batch + 3; }

/// Parameters of a batch: batch, len, spread and, for prefill, extend and mix. The arguments are an op's values.
std::vector<ParamSpec> decode_batch(Columns batch, Columns len);
std::vector<ParamSpec> prefill_batch(Columns batch, Columns len, Columns extend);

/// Makes the batch that these parameters describe. `seed` determines request ids and random lengths. A decode batch
/// does not have the parameter `extend`: each of its requests has one new token.
Batch make_batch(const Params& p, std::uint64_t seed);

/// Upper limit for the number of new tokens of a prefill batch of these parameters.
std::int64_t most_tokens(const Params& p);
/// Upper limits for the batch of these parameters: the length of a request, and a request's number of new tokens.
std::int64_t longest_request(const Params& p);
std::int64_t longest_extend(const Params& p);

/// The reason why the maps of the batch of these parameters are too large for a sweep; nullopt if they are not.
std::optional<std::string> too_many_slots(const Params& p);

/// A function of (request id, position) that returns the token's state row, or another place of the token.
using RowOf = std::function<std::int64_t(std::int64_t, std::int64_t)>;

/// Maps from a request id and a position to a slot in the full cache, and from there to a slot in the
/// sliding-window cache.
struct CacheMaps {
  HostTensor req_to_token;  ///< i32 [pool, longest]; an invalid slot for positions beyond a request's length
  HostTensor full_to_swa;   ///< i64 [slots + 1]; 0 for unused slots, -1 for the last one
  std::int64_t page_size = 0;
  std::int64_t ring_size = 0;
  std::int64_t swa_pages = 0;

  /// Number of state rows: a ring for each page of the sliding-window cache.
  [[nodiscard]] std::int64_t rows() const { return swa_pages * ring_size; }
  /// State row of a token.
  [[nodiscard]] std::int64_t row(std::int64_t request_id, std::int64_t position) const;
  /// row() as a function. The function must not be used after the maps are destroyed.
  [[nodiscard]] RowOf row_of() const {
    return [this](std::int64_t id, std::int64_t position) { return row(id, position); };
  }
};

struct CacheForm {
  std::int64_t pool = 0;  ///< number of requests that the pool can hold
  std::int64_t page_size = 256;
  std::int64_t ring_size = 8;
  bool shuffled = true;  ///< whether pages are in random order, in both caches
};

/// Parameters of the maps: `ring`, `page` and `pages`.
std::vector<ParamSpec> cache_params();
/// The reason why these parameters do not fit; nullopt if they do. The ring must be a multiple of `ratio`, and the page
/// must be a multiple of the ring.
std::optional<std::string> reject_cache(const Params& p, std::int64_t ratio);

/// Makes maps for all tokens of a batch, old and new. Page 0 belongs to no request, as in the server.
CacheMaps make_maps(const Batch& batch, const CacheForm& form, std::uint64_t seed);
/// Makes maps from a case's parameters: `ring` and, if the case has them, `page` and `pages`.
CacheMaps make_maps(const Batch& batch, const Params& p, std::uint64_t seed);

/// Requests that grow step by step and begin without tokens. Their maps stay the same in all steps.
class GrowingBatch {
 public:
  /// Begins with the requests of `batch`, without tokens. The maps have `longest` positions per request and follow `p`.
  GrowingBatch(Batch batch, std::int64_t longest, const Params& p, std::uint64_t seed);

  [[nodiscard]] const std::vector<std::int64_t>& ids() const { return ids_; }
  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return lengths_; }
  [[nodiscard]] const CacheMaps& maps() const { return maps_; }

  /// Appends `extend[b]` tokens to request b. Returns the batch of this step, without the requests that got no token.
  Batch grow(const std::vector<std::int64_t>& extend);
  /// Appends `extend` tokens to each request.
  Batch grow(std::int64_t extend) { return grow(std::vector<std::int64_t>(ids_.size(), extend)); }
  /// Removes the last `tokens` tokens of request b.
  void take_back(std::size_t b, std::int64_t tokens) { lengths_[b] -= tokens; }
  /// Request `to`, which has no token yet, begins with the first `tokens` tokens of request `from`, in the same slots.
  void share(std::size_t from, std::size_t to, std::int64_t tokens);
  /// Returns counts for grow() that bring the lengths closer to `goal`. Each count is random, at most `most`, and does
  /// not pass the goal. The result is empty if all lengths have reached the goal.
  [[nodiscard]] std::vector<std::int64_t> next_chunk(const std::vector<std::int64_t>& goal, std::int64_t most,
                                                     Random& random) const;

 private:
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> lengths_;
  CacheMaps maps_;
};

}  // namespace dsv4
