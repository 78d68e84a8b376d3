/// plan_prefill_legacy (V2) makes prefill plans in which each request owns a ring of state rows. Lengths are always on
/// the host, so plans are in token order. Page fields that no kernel reads are masked.
#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

class PlanPrefillLegacy final : public PrefillPlanner {
 public:
  PlanPrefillLegacy()
      : PrefillPlanner({
            .name = "plan_prefill_legacy",
            .family = "compress",
            .summary = "plan of a prefill batch in which each request owns a ring of state rows",
            .upstream = "CompressorPrefillPlan.generate_legacy, _jit_compress_plan_module",
            .space = Space{ratio_param(), graph_param()}.with(edge_batch()),
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
            .without = {{"relation:any_batch", "rows of a plan name tokens by their number in the whole batch"}},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const auto why = reject_host_lens(p);
    return why ? why : reject_plan_tokens(p);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    return legacy_prefill_plan_call(c.params.integer("ratio"), c.params.flag("graph"), make_batch(c.params, c.seed));
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = PrefillPlanner::scenarios();
    list.push_back(
        many_rows_relation(*this, each({"ratio={} batch=1 len=65535 spread=same extend=65535 mix=uniform",
                                        "ratio={} graph=1 batch=5 len=70000 spread=same extend=40000 mix=long_first"},
                                       {"4", "128"})));
    return list;
  }
};

DSV4_REGISTER_OP(PlanPrefillLegacy);

}  // namespace
}  // namespace dsv4
