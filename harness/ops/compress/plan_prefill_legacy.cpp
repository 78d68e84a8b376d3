/// plan_prefill_legacy (V2): the prefill plan over a ring of state rows that each request owns. Lengths lie on the host
/// only, so the order of tokens is promised; page fields that nobody reads are masked all the same.
#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

class PlanPrefillLegacy final : public Op {
 public:
  PlanPrefillLegacy()
      : Op({
            .name = "plan_prefill_legacy",
            .family = "compress",
            .summary = "plan of a prefill batch over a ring of rows that each request owns",
            .upstream = "CompressorPrefillPlan.generate_legacy",
            .space = Space{word("ratio", {"4", "128"}, "tokens per compressed entry"),
                           flag("graph", "plans of fixed size, as a captured graph needs them")}
                         .with(prefill_batch({.usual = 5, .quick = {9}},
                                             {.usual = 21, .quick = {1, 4, 12, 60, 124, 252, 508}},
                                             {.usual = 6, .quick = {1, 2, 4, 5, 8, 9, 33, 127, 128, 129, 300}})),
            .signature = {{in("req_pool_indices", {kI64}, "requests"),
                           in("seq_lens", {kI64}, "requests", {.place = Place::kHost}),
                           in("extend_lens", {kI64}, "requests", {.place = Place::kHost}),
                           workspace("pin_buffer", {kU8}, "scratch", {.place = Place::kHost}), integer("num_q_tokens"),
                           integer("compress_ratio"), truth("use_cuda_graph")},
                          "requests"},
            .smoke = {"", "ratio=128 graph=1 len=250 extend=140 mix=last_differs"},
            .quick = joined(
                {{"cover mix=uniform|last_differs|mixed"},
                 each({"batch={} len=9 extend=9", "ratio=128 graph=1 batch={} len=130 spread=random mix=uniform"},
                      {"1", "32", "33", "1024", "1025"})}),
            .full = each({"ratio={} batch=1 len=65534 spread=same extend=65534 mix=uniform",
                          "ratio={} graph=1 batch=1 len=65535 spread=same extend=65535 mix=uniform",
                          "ratio={} batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                          "ratio={} batch=1000 len=1000 spread=random extend=60"},
                         {"4", "128"}),
            .bench = {"batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens of the whole batch"}},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    return reject_plan_tokens(p);
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }
  void fit(Call& call) const override { fit_prefill_plan(call); }

  [[nodiscard]] Call make(const Case& c) const override {
    return legacy_prefill_plan_call(c.params.integer("ratio"), c.params.flag("graph"), make_batch(c.params, c.seed));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const Batch batch = batch_of(call);
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    return observe_prefill_plan({.batch = batch,
                                 .ratio = ratio,
                                 .state_rows = pool_size(batch.size()) * legacy_ring_rows(ratio),
                                 .plan_rows = plan_rows(call),
                                 .in_token_order = true},
                                returned_tensor(result, 0), returned_tensor(result, 1));
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("batch") * c.params.integer("extend") < 2;
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    return {.bytes = prefill_plan_bytes(batch_of(call), integer_of(call, "compress_ratio"), 0, 0, plan_rows(call))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{late_allocation_relation(only(points(Tier::kSmoke)))};
    Contracts contracts(list);
    add_prefill_plan_contracts(contracts);
    return list;
  }
};

DSV4_REGISTER_OP(PlanPrefillLegacy);

}  // namespace
}  // namespace dsv4
