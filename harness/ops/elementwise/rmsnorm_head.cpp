/// rmsnorm_head: divides the heads of queries by their root mean square. Its results have intervals, as those of
/// q_norm_rope.
#include "harness/op/define.h"
#include "harness/ops/elementwise/many_rows.h"
#include "harness/ops/elementwise/norm_rows.h"

namespace dsv4 {
namespace {

class RmsnormHead final : public Op {
 public:
  RmsnormHead()
      : Op({
            .name = "rmsnorm_head",
            .family = "elementwise",
            .summary = "normalise the heads of queries",
            .upstream = "rmsnorm_self, _jit_rmsnorm_head_module",
            .space = {number("tokens", 0, 1 << 17, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 127, 257}}),
                      number("heads", 1, 256, "heads of the queries",
                             {.usual = 4, .quick = {1, 3, 8}, .full = {1, 7, 33}, .soak = {64, 128}}),
                      word("head_dim", {"512", "256"}, "elements of a head"),
                      word("layout", any_head_layouts(), "memory layout of the heads"), eps_values(),
                      word("fill", plain_row_fill_names(), "distribution of the elements")},
            .signature = {{in("input", {kBF16}, "tokens heads head_dim!:dim",
                              {.gaps = true, .far = "tokens=3 heads=3"}),
                           out("output", {kBF16}, "tokens heads head_dim!:dim",
                               {.gaps = true, .any_nan = true, .far = "tokens=3 heads=3"}),
                           real("eps")},
                          "tokens"},
            .smoke = {"layout=apart", "tokens=3 heads=3 head_dim=256 layout=slice eps=1e-2 fill=integers",
                      "tokens=9 heads=1 layout=transposed fill=small"},
            .quick = {"cover"},
            .full = {"cover", "tokens=128 heads=64 layout=slice", "tokens=1500 heads=3 head_dim=256 fill=wide"},
            .bench = each({"tokens={} heads=64"}, {"64", "512", "4096"}),
            .host_note = "the error of rsqrtf",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("tokens") * p.integer("heads") <= 1 << 17) return std::nullopt;
    return "this case would take too long: tokens times heads must be at most 2^17";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (has_trivial_rows(p)) return {"eps"};
    return {};
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t tokens = p.integer("tokens"), heads = p.integer("heads"), dim = p.integer("head_dim");
    HostTensor input = wide_heads(p.text("layout"), false, tokens, heads, dim);
    Random random(c.seed, "input");
    for (std::int64_t row = 0; row < tokens * heads; ++row)
      norm_row_fills(nullptr).apply(p.text("fill"), random, Elements(input, row * dim, dim));
    return call({input, wide_heads(p.text("layout"), true, tokens, heads, dim), eps_of(p)},
                Params().set("head_dim", p.text("head_dim")));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"output"}, "the sum of the squares and rsqrtf, within their errors");
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("tokens") == 0 || has_trivial_rows(c.params);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto elements = static_cast<double>(call.tensor("input").numel());
    return {.bytes = elements * 2.0 * sizeof(std::uint16_t), .flops = elements * 3.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const Points points = at({"tokens=3 heads=3"});
    std::vector<Scenario> list{
        far_relation("input_heads", "heads of 'input' that lie 2^31 elements apart", points, move_apart("input", 1)),
        far_relation("output_heads", "heads of 'output' that lie 2^31 elements apart", points, move_apart("output", 1)),
        many_relation("tokens", at({}, {"tokens=3 heads=1 head_dim=256"})),
        many_relation("heads", in_full(params_at("tokens=1 heads=3 head_dim=256"))),
        odd_strides({"input", "output"}, at({"heads=1"}))};
    Contracts contracts(list);
    no_heads(contracts, *this);
    return list;
  }
};

DSV4_REGISTER_OP(RmsnormHead);

}  // namespace
}  // namespace dsv4
