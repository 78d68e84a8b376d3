/// compress_norm_rope_store with plans of the planners.
#include "harness/generate/batch.h"
#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/elementwise/compress_norm_rope_store_scenarios.h"
#include "harness/ops/elementwise/store_engine.h"

namespace dsv4 {
namespace {

/// A batch whose tokens complete entries of both ratios. A request has at most 32 new tokens: sglang's planner gives
/// places in the plan to a warp of tokens in order, but its warps race for them. An entry here belongs to a place.
Batch batch_of_pair(bool is_decode) {
  if (is_decode) return {{3, 0, 2, 5}, {256, 131, 128, 20}, {1, 1, 1, 1}};
  return {{3, 0, 2}, {130, 256, 300}, {30, 20, 32}};
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
  return store_call(op, c, entries, plan, slots, empty_cache(c, next), is_decode);
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

}  // namespace dsv4
