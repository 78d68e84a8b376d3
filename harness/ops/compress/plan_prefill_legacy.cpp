/// plan_prefill_legacy (V2): the prefill plan over a ring of state rows that each request owns. Lengths lie on the host
/// only, so the order of tokens is promised; page fields that nobody reads are masked all the same.
#include <fmt/format.h>

#include "harness/case/covering.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

Params point(std::int64_t ratio, int graph, std::int64_t batch, std::int64_t len, const char* spread,
             std::int64_t extend, const char* mix) {
  return Params()
      .set("ratio", ratio)
      .set("graph", std::int64_t{graph})
      .set("batch", batch)
      .set("len", len)
      .set("spread", spread)
      .set("extend", extend)
      .set("mix", mix);
}

class PlanPrefillLegacy final : public Op {
 public:
  PlanPrefillLegacy()
      : Op([] {
          OpInfo info{
              .name = "plan_prefill_legacy",
              .family = "compress",
              .summary = "plan of a prefill batch over a ring of rows that each request owns",
              .upstream = "CompressorPrefillPlan.generate_legacy",
              .abis = {"plan_prefill_legacy/1"},
              .space = {ParamSpec::choice("ratio", {"4", "128"}, "tokens per compressed entry"),
                        ParamSpec::choice("graph", {"0", "1"}, "plans of fixed size, as a captured graph needs them")},
              .host_note = "everything is shown on a CPU"};
          for (ParamSpec& spec : prefill_batch_params()) info.space.add(std::move(spec));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    const std::int64_t most = p.integer("batch") * p.integer("extend") + (p.is("mix", "last_differs") ? 1 : 0);
    if (most > kMostPlanTokens) return fmt::format("a plan numbers at most {} tokens", kMostPlanTokens);
    return reject_batch(p);
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(4, 0, 5, 21, "stagger", 6, "mixed"), point(128, 1, 5, 250, "stagger", 140, "last_differs")};
    }
    std::vector<Params> all;
    if (tier == Tier::kQuick) {
      const auto valid = [this](const Params& p) { return !reject(p); };
      all = pairwise({integers("ratio", {4, 128}), integers("graph", {0, 1}), integers("batch", {9}),
                      integers("len", {1, 4, 12, 60, 124, 252, 508}), words("spread", {"same", "stagger", "random"}),
                      integers("extend", {1, 2, 4, 5, 8, 9, 33, 127, 128, 129, 300}),
                      words("mix", {"uniform", "last_differs", "mixed"})},
                     valid);
      for (const std::int64_t batch : {1, 32, 33, 1024, 1025}) {
        all.push_back(point(4, 0, batch, 9, "stagger", 9, "mixed"));
        all.push_back(point(128, 1, batch, 130, "random", 6, "uniform"));
      }
      return all;
    }
    for (const std::int64_t ratio : {4, 128}) {
      all.push_back(point(ratio, 0, 1, 65534, "same", 65534, "uniform"));
      all.push_back(point(ratio, 1, 1, 65535, "same", 65535, "uniform"));
      all.push_back(point(ratio, 0, 1, 1 << 20, "same", 8192, "uniform"));
      all.push_back(point(ratio, 0, 1000, 1000, "random", 60, "mixed"));
    }
    return all;
  }

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
    return {.bytes = prefill_plan_bytes(batch_of(call), integer_of(call, "compress_ratio"), 0, 0, plan_rows(call)),
            .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

std::vector<Scenario> PlanPrefillLegacy::scenarios() const {
  std::vector<Scenario> list{late_allocation_relation(only(points(Tier::kSmoke)))};
  Contracts contracts(list, only({point(4, 0, 5, 21, "stagger", 6, "mixed")}));
  add_prefill_plan_contracts(contracts);
  contracts.misplaced("seq_lens", Place::kDevice);  // the other planner takes lengths on the device
  return list;
}

DSV4_REGISTER_OP(PlanPrefillLegacy);

}  // namespace
}  // namespace dsv4
