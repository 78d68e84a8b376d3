/// plan_decode_legacy (V2): the decode plan over a ring of state rows that each request owns. Exact.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

class PlanDecodeLegacy final : public Op {
 public:
  PlanDecodeLegacy()
      : Op({
            .name = "plan_decode_legacy",
            .family = "compress",
            .summary = "plan of a decode step over a ring of rows that each request owns",
            .upstream = "CompressorDecodePlan.generate_legacy",
            .space = Space{word("ratio", {"4", "128"}, "tokens per compressed entry")}.with(
                decode_batch({.usual = 9, .quick = {1, 9, 33, 255, 256, 257, 1024}},
                             {.usual = 1, .quick = {1, 4, 60, 124, 251, 380}})),
            .signature = {{in("req_pool_indices", {kI64}, "requests"),
                           in("seq_lens", {kI64}, "requests:count", {.names = {{"count", "lens_count"}}}),
                           integer("compress_ratio")},
                          "requests"},
            .smoke = {"", "ratio=128 batch=5 len=126"},
            .quick = {"cover"},
            .full = each({"batch=2 len={} spread=random", "ratio=128 batch=1 len={} spread=same"},
                         {"65535", "65536", "131072", "1048573", "1048576"}),
            .contract_point = "batch=5 len=21",
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    return legacy_decode_plan_call(c.params.integer("ratio"), make_batch(c.params, c.seed));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const Batch batch = batch_of(call);
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    const std::int64_t rings = batch.size() == 0 ? 0 : *std::ranges::max_element(batch.request_ids) + 1;
    return observe_decode_plan(batch, ratio, rings * legacy_ring_rows(ratio), returned_tensor(result, 0));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // An id, a length and a row of the plan for each request.
    return {.bytes = static_cast<double>(call.tensor("seq_lens").numel()) * (8 + 8 + 16)};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{late_allocation_relation(only(points(Tier::kSmoke)))};
    Contracts contracts(list, at({info().contract_point}));
    add_ratio_contract(contracts);
    return list;
  }
};

DSV4_REGISTER_OP(PlanDecodeLegacy);

}  // namespace
}  // namespace dsv4
