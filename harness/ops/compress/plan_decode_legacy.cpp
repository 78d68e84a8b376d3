/// plan_decode_legacy (V2) makes a decode plan in which each request owns a ring of state rows. The plan must be exact.
#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

class PlanDecodeLegacy final : public DecodePlanner {
 public:
  PlanDecodeLegacy()
      : DecodePlanner({
            .name = "plan_decode_legacy",
            .family = "compress",
            .summary = "plan of a decode step in which each request owns a ring of state rows",
            .upstream = "CompressorDecodePlan.generate_legacy, _jit_compress_plan_module",
            .space = Space{ratio_param()}.with(decode_batch({.usual = 9, .quick = {1, 9, 33, 255, 256, 257, 1024}},
                                                            {.usual = 1, .quick = {1, 4, 60, 124, 251, 380}})),
            .signature = {{in("req_pool_indices", {kI64}, "requests"),
                           in("seq_lens", {kI64}, "requests:count",
                              {.index = Index{.count = true}, .names = {{"count", "lens_count"}}}),
                           integer("compress_ratio")},
                          "requests"},
            .smoke = {"", "ratio=128 batch=5 len=126"},
            .quick = {"cover"},
            .full = each({"batch=2 len={} spread=random", "ratio=128 batch=1 len={} spread=same"}, kLongLens),
            .contract_point = "batch=5 len=21",
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    return legacy_decode_plan_call(c.params.integer("ratio"), make_batch(c.params, c.seed));
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = DecodePlanner::scenarios();
    list.push_back(many_rows_relation(*this, {"batch=65540 len=3 spread=same", "batch=2 len=70000 spread=same"}));
    return list;
  }
};

DSV4_REGISTER_OP(PlanDecodeLegacy);

}  // namespace
}  // namespace dsv4
