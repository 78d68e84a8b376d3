/// Runs growing requests through a planner, a compressor and compress_norm_rope_store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/generate/batch.h"
#include "harness/op/op.h"

namespace dsv4 {

/// A poisoned cache with at least `slots` slots, in the case's layout.
HostTensor empty_cache(const Case& c, std::int64_t slots);

/// The case's call with other entries, plan, slots and cache.
Call store_call(const Op& op, const Case& c, const HostTensor& entries, const HostTensor& plan,
                const HostTensor& out_loc, const HostTensor& cache, bool is_decode);

/// The slot of each token of a batch. `slot_of` gives that of a token that completes a group. The others have slot 0,
/// as in the server, and no entry has it.
HostTensor slots_of_batch(const Batch& batch, std::int64_t ratio,
                          const std::function<std::int64_t(const BatchToken&)>& slot_of);

/// How an engine compresses. Online compression has ratio 128 and head dim 512.
struct StoreForm {
  std::int64_t ratio = 4;
  bool online = false;
  std::int64_t ring = 8;  ///< state rows of a page of the sliding-window cache; 1 for online compression
};

/// Carries the compressor's state and the cache of entries from call to call. At first, all state rows are NaN. Each
/// step plans, compresses and stores, on the set under test. What it stores is compared with the reference's result for
/// the same entries. A token's row depends only on its request and position. The argument `where` names the step in
/// messages.
class StoreEngine {
 public:
  StoreEngine(ScenarioContext& x, const StoreForm& form, const std::vector<std::int64_t>& ids, std::int64_t longest,
              std::uint64_t generation = 0);
  /// Goes on with the state and the cache of `before`, whose requests have ended. `generation` selects other places for
  /// the requests, out of the same.
  StoreEngine(const StoreEngine& before, const std::vector<std::int64_t>& ids, std::uint64_t generation);

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// The first `tokens` tokens of request `to` are those of request `from`. `cached`: request `to` begins with them,
  /// and uses their slots and entries. Otherwise it computes them again.
  void share(std::size_t from, std::size_t to, std::int64_t tokens, bool cached);

  /// Prefills `extend[b]` more tokens of request b.
  void prefill(const std::vector<std::int64_t>& extend, const std::string& where);
  /// A step of speculative decoding: prefills `drafts` draft tokens of each request. Request b keeps the first
  /// `accepted[b]`. The entries of its other drafts are stored, and later replaced.
  void verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where);
  /// Decodes one token of each request that is shorter than its goal.
  void decode(const std::vector<std::int64_t>& goal, const std::string& where);

  /// The contents of the slots of all entries, in the order of the requests and positions.
  [[nodiscard]] Observation read_back() const;

 private:
  struct Shared {
    std::int64_t owner;   ///< id of the other request
    std::int64_t tokens;  ///< tokens before this position are the owner's
    bool cached;
  };

  /// Calls the set under test. In online compression, compares the result with the reference's. There, the bits of an
  /// entry depend on the steps, so the stored bytes alone do not show a wrong plan or state.
  CallResult call(const std::string& where, Call call);
  void prefill_step(const Batch& step, bool lens_on_device, const std::vector<std::int64_t>& rejected_from,
                    const std::string& where);
  /// Compresses with these plans, and stores the entries by the first plan.
  void compress_and_store(const Batch& step, const HostTensor& input, const std::vector<HostTensor>& plans,
                          bool is_decode, const std::string& where);
  [[nodiscard]] HostTensor rows_of(const Batch& step, const std::vector<std::int64_t>& rejected_from = {}) const;
  [[nodiscard]] std::int64_t slot_of(std::int64_t id, std::int64_t position) const;

  ScenarioContext& x_;
  StoreForm form_;
  std::int64_t longest_;
  Params params_;  ///< of the compressor's tokens
  GrowingBatch requests_;
  std::map<std::int64_t, Shared> shared_;                                ///< by request id
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> slots_;  ///< by request id and number of the entry
  HostTensor state_;
  HostTensor cache_;
};

}  // namespace dsv4
