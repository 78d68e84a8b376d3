/// q_indexer_rope_hadamard_quant: rotates the queries of the indexer, transforms and quantises them to E4M3, and folds
/// their scales into the weights of the heads.
///
/// Every operation is specified, except which product of a*b + c*d is fused in the rotation. So nearly every code and
/// weight has only one right value, and the reference computes an interval for the others.
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/indexer_queries.h"

namespace dsv4 {
namespace {

class QIndexerRopeHadamardQuant final : public Op {
 public:
  QIndexerRopeHadamardQuant()
      : Op({
            .name = "q_indexer_rope_hadamard_quant",
            .family = "elementwise",
            .summary = "rotate the indexer's queries, transform them and quantise them to E4M3",
            .upstream = "fused_q_indexer_rope_hadamard_quant",
            .space = query_space(e4m3_form()),
            .signature = {{in("q_input", {kBF16}, "tokens heads 128:dim"),
                           out("q_fp8", {kE4M3}, "tokens heads 128:dim"), in("weight", {kBF16}, "tokens heads"),
                           out("weights_out", {kF32}, "tokens heads 1:dim", {.any_nan = true}), real("weight_scale"),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
                           in("positions", {kI32, kI64}, "tokens:count",
                              {.dtype_of = "index", .index = Index{.limit = "table"}})},
                          "tokens"},
            .smoke = {"", "tokens=3 heads=8 index=i64 at=last angles=axes weight=wide scale=1 fill=integers",
                      "tokens=9 heads=4 fill=midpoints", "tokens=4 heads=3 fill=least_scale",
                      "tokens=2 heads=2 scale=-1e38 weight=special fill=one_nan"},
            .quick = {"cover"},
            .full = {"cover", "tokens=128 heads=64 index=i64 table=65537", "tokens=1 heads=128 fill=cancel",
                     "tokens=1500 heads=3 table=4099 fill=wide", "tokens=400 heads=8 fill=midpoints"},
            .bench = each({"tokens={} heads=64 index=i64 table=65536"}, {"64", "512", "4096"}),
            .host_note = "which products nvcc fuses",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_rows(p); }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override { return idle_of_queries(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    Call call = allocate(c);
    fill_queries(c, e4m3_form(), call);
    return call;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"q_fp8", "weights_out"}, "either product of a*b + c*d may be fused");
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return has_trivial_queries(c.params); }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    return cost_of_queries(c.params, kQueryDim + sizeof(float));
  }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"position_outside", positions_outside(call)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    return query_scenarios(*this, "q_fp8", [](Observation& want) {
      for (Output& output : want.outputs) {
        for (std::int64_t i = 0; output.name == "weights_out" && i < output.value.numel(); ++i)
          output.value.set<float>(i, 2.0f * output.value.get<float>(i));
      }
    });
  }
};

DSV4_REGISTER_OP(QIndexerRopeHadamardQuant);

}  // namespace
}  // namespace dsv4
