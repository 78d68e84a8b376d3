/// compress_norm_rope_store after the ops that make its arguments: a planner, and the compressor of ratio 4.
#include <algorithm>
#include <utility>

#include "harness/generate/batch.h"
#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/elementwise/compress_norm_rope_store_scenarios.h"
#include "harness/ops/elementwise/stored_keys.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kStoreSlots = 128;

/// A poisoned cache of kStoreSlots slots.
HostTensor empty_cache(const Case& c) {
  const CacheGeometry g(c.params);
  HostTensor cache = HostTensor::make(kU8, {kStoreSlots / g.page_size, g.page_bytes()});
  poison(cache);
  return cache;
}

/// The case's call with other entries, plan, slots and cache.
Call store_call(const Op& op, const Case& c, const HostTensor& entries, const HostTensor& plan,
                const HostTensor& out_loc, const HostTensor& cache, bool is_decode) {
  Call call = op.make(c);
  call.arg("input").tensor() = entries;
  call.arg("plan").tensor() = plan;
  call.arg("out_loc").tensor() = out_loc;
  call.arg("kvcache").tensor() = cache;
  call.arg("is_decode").value = is_decode;
  op.fit(call);
  return call;
}

/// The slot of each token of a batch. `slot_of` gives that of a token that completes a group. The others have slot 0,
/// as in the server, and no entry has it.
HostTensor slots_of_batch(const Batch& batch, std::int64_t ratio,
                          const std::function<std::int64_t(const BatchToken&)>& slot_of) {
  std::vector<std::int64_t> slots;
  for (const BatchToken& token : tokens_of(batch))
    slots.push_back((token.position + 1) % ratio == 0 ? slot_of(token) : 0);
  return numbers(slots, kI32);
}

// --- pairs -----------------------------------------------------------------------------------------------------------

/// A batch whose tokens complete entries of both ratios.
Batch batch_of_pair(bool is_decode) {
  if (is_decode) return {{3, 0, 2, 5}, {256, 131, 128, 20}, {1, 1, 1, 1}};
  return {{3, 0, 2}, {130, 256, 300}, {130, 20, 44}};
}

Call produce_plan(const Case& c, bool is_decode) {
  const std::int64_t ratio = c.params.integer("ratio");
  const Batch batch = batch_of_pair(is_decode);
  const CacheMaps maps = make_maps(batch, CacheForm{.pool = 8, .ring_size = ratio == 4 ? 8 : 128}, c.seed);
  if (is_decode) return decode_plan_call(ratio, batch, maps);
  return prefill_plan_call({.ratio = ratio, .lens_on_device = true}, batch, maps);
}

Call consume_plan(const Op& op, const Case& c, const HostTensor& plan, bool is_decode) {
  const Batch batch = batch_of_pair(is_decode);
  HostTensor entries = HostTensor::make(kF32, {plan.size(0), CacheGeometry(c.params).dim()});
  Random random(c.seed, "entries");
  fill_floats(entries, [&] { return random.gauss(); });
  std::int64_t next = 1;
  const HostTensor slots =
      slots_of_batch(batch, c.params.integer("ratio"), [&next](const BatchToken&) { return next++; });
  return store_call(op, c, entries, plan, slots, empty_cache(c), is_decode);
}

// --- sequences -------------------------------------------------------------------------------------------------------

/// Requests that grow. Each step plans, compresses at ratio 4, and stores the entries in one cache.
class EntryServer {
 public:
  EntryServer(ScenarioContext& x, const Batch& requests, std::int64_t longest)
      : x_(x),
        dim_(CacheGeometry(x.c.params).dim()),
        requests_(requests, longest, Params().set("ring", 8), x.c.seed),
        state_(HostTensor::make(kF32, {requests_.maps().rows() / 4, 4, 4 * dim_})),
        cache_(empty_cache(x.c)) {
    poison(state_);
  }

  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return requests_.lengths(); }

  /// Request b gets `extend[b]` more tokens. A decode step gives one token to some requests.
  void step(const std::vector<std::int64_t>& extend, bool is_decode, const std::string& where) {
    const Batch batch = requests_.grow(extend);
    const Call planner = is_decode ? decode_plan_call(4, batch, requests_.maps())
                                   : prefill_plan_call({.ratio = 4}, batch, requests_.maps());
    const CallResult plan = x_.call(where + ", plan", planner);
    std::vector<Value> values{state_, tokens_of_step(batch),
                              HostTensor::make(kF32, {returned_tensor(plan, 0).size(0), dim_}), bias()};
    for (std::size_t i = 0; i < plan.returned.size(); ++i) values.emplace_back(returned_tensor(plan, i));
    const std::string compressor = is_decode ? "compress_c4_decode" : "compress_c4_prefill";
    const Call compress = call_of(compressor, std::move(values), Params().set("head_dim", dim_).set("dtype", "f32"));
    const CallResult compressed = x_.call(where + ", compress", compress);
    state_ = compressed.tensor("kv_buffer");

    const HostTensor slots = slots_of_batch(batch, 4, slot_of);
    const Call store =
        store_call(x_.op, x_.c, compressed.tensor("kv_output"), returned_tensor(plan, 0), slots, cache_, is_decode);
    const CallResult stored = x_.call(where + ", store", store);
    const Observation got = x_.op.observe(x_.c, store, stored);
    x_.expect_agree(where, got, x_.expected(store), x_.op.tolerances(x_.c, store, stored, got, x_.reference));
    cache_ = stored.tensor("kvcache");
  }

  /// The contents of the slots of all entries.
  [[nodiscard]] Observation read_back() const {
    std::vector<std::int64_t> slots;
    for (std::size_t b = 0; b < lengths().size(); ++b) {
      for (std::int64_t p = 3; p < lengths()[b]; p += 4)
        slots.push_back(slot_of({.id = requests_.ids()[b], .position = p}));
    }
    return stored_keys(CacheGeometry(x_.c.params, cache_), cache_, numbers(slots));
  }

 private:
  /// A request has up to eight entries.
  static std::int64_t slot_of(const BatchToken& token) { return 1 + token.id * 8 + token.position / 4; }

  /// A token's row depends only on the request and the position.
  [[nodiscard]] HostTensor tokens_of_step(const Batch& batch) const {
    HostTensor rows = HostTensor::make(kF32, {batch.tokens(), 4 * dim_});
    for (const BatchToken& token : tokens_of(batch)) {
      Random random(x_.c.seed, fmt::format("token {} {}", token.id, token.position));
      for (std::int64_t k = 0; k < 4 * dim_; ++k) rows.at<float>(token.row, k) = random.gauss();
    }
    return rows;
  }
  [[nodiscard]] HostTensor bias() const {
    HostTensor t = HostTensor::make(kF32, {8, dim_});
    Random random(x_.c.seed, "ape");
    fill_floats(t, [&] { return 0.5f * random.gauss(); });
    return t;
  }

  ScenarioContext& x_;
  std::int64_t dim_;
  GrowingBatch requests_;
  HostTensor state_;
  HostTensor cache_;
};

/// Every request ends with a complete group, so every token is in an entry.
void run_store_steps(ScenarioContext& x) {
  const std::vector<std::int64_t> goal{8, 16, 32}, first{2, 16, 21};
  const Batch requests{{2, 0, 4}, goal, goal};
  EntryServer whole(x, requests, 32);
  whole.step(goal, false, "one prefill");
  EntryServer steps(x, requests, 32);
  steps.step(first, false, "first prefill");
  for (int number = 0; steps.lengths() != goal; ++number) {
    std::vector<std::int64_t> extend;
    for (std::size_t b = 0; b < goal.size(); ++b) extend.push_back(steps.lengths()[b] < goal[b] ? 1 : 0);
    steps.step(extend, true, fmt::format("decode step {}", number));
  }
  Tolerances exact;
  for (const Output& output : whole.read_back().outputs)
    exact[output.name] = Tolerance::exact("a stored entry does not depend on the step that stores it");
  x.expect_agree("steps against one prefill", steps.read_back(), whole.read_back(), exact);
}

}  // namespace

std::vector<Pair> compress_norm_rope_store_pairs(const Op& op) {
  std::vector<Pair> list;
  for (const bool is_decode : {false, true}) {
    const std::string plan = is_decode ? "plan=decode " : "";
    list.push_back({.producer = is_decode ? "plan_decode" : "plan_prefill",
                    .takes = {"plan"},
                    .points = op.at({plan + "weight=gauss"}, {plan + "ratio=128 page=2 weight=gauss"}),
                    .produce = [is_decode](const Case& c) { return produce_plan(c, is_decode); },
                    .consume =
                        [&op, is_decode](const Case& c, const std::vector<HostTensor>& made) {
                          return consume_plan(op, c, made.at(0), is_decode);
                        }});
  }
  return list;
}

Scenario compress_norm_rope_store_sequence(const Op& op) {
  return sequence("plan_compress_store",
                  "entries of one prefill, and of a prefill and decode steps, are planned, compressed and stored: the "
                  "slots hold the same bytes",
                  op.at({"weight=gauss", "layout=indexer weight=gauss"}, {"layout=indexer_fp4 weight=gauss"}),
                  run_store_steps);
}

}  // namespace dsv4
