/// plan_decode_legacy (V2): the decode plan over a ring of state rows that each request owns. Exact.
#include "harness/case/covering.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

Params point(std::int64_t ratio, std::int64_t batch, std::int64_t len, const char* spread) {
  return Params().set("ratio", ratio).set("batch", batch).set("len", len).set("spread", spread);
}

class PlanDecodeLegacy final : public Op {
 public:
  PlanDecodeLegacy()
      : Op([] {
          OpInfo info{.name = "plan_decode_legacy",
                      .family = "compress",
                      .summary = "plan of a decode step over a ring of rows that each request owns",
                      .upstream = "CompressorDecodePlan.generate_legacy",
                      .abis = {"plan_decode_legacy/1"},
                      .space = {ParamSpec::choice("ratio", {"4", "128"}, "tokens per compressed entry")},
                      .host_note = "everything is shown on a CPU"};
          for (ParamSpec& spec : decode_batch_params()) info.space.add(std::move(spec));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_batch(p); }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) return {point(4, 9, 1, "stagger"), point(128, 5, 126, "stagger")};
    std::vector<Params> all;
    if (tier == Tier::kQuick) {
      all = pairwise({axis("ratio", {4, 128}), axis("batch", {1, 9, 33, 255, 256, 257, 1024}),
                      axis("len", {1, 4, 60, 124, 251, 380}), words("spread", {"same", "stagger", "random"})});
      return all;
    }
    for (const std::int64_t len : {65535, 65536, 131072, (1 << 20) - 3, 1 << 20}) {
      all.push_back(point(4, 2, len, "random"));
      all.push_back(point(128, 1, len, "same"));
    }
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    return legacy_decode_plan_call(c.params.integer("ratio"), make_batch(c.params, c.seed));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const Batch batch = batch_of(call);
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    return observe_decode_plan(batch, ratio, pool_size(batch.size()) * legacy_ring_rows(ratio),
                               returned_tensor(result, 0));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    return {.bytes = static_cast<double>(call.tensor("seq_lens").numel()) * (8 + 8 + 16), .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{late_allocation_relation(only(points(Tier::kSmoke)))};
    Contracts contracts(list, only({point(4, 5, 21, "stagger")}));
    add_decode_plan_contracts(contracts);
    return list;
  }
};

DSV4_REGISTER_OP(PlanDecodeLegacy);

}  // namespace
}  // namespace dsv4
