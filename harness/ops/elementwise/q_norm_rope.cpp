/// q_norm_rope: normalises the heads of queries by their root mean square, and rotates the last 64 elements of each.
///
/// A kernel's factor of a row is known to 2^-20 of it. So nearly every element has only one right bfloat16, and the
/// reference computes an interval for the others.
#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/many_rows.h"
#include "harness/ops/elementwise/norm_rows.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kHeadDim = 512;

class QNormRope final : public Op {
 public:
  QNormRope()
      : Op({
            .name = "q_norm_rope",
            .family = "elementwise",
            .summary = "normalise the heads of queries and rotate their last dimensions",
            .upstream = "fused_q_norm_rope, _jit_main_q_norm_rope_module",
            .space = {number("tokens", 0, 1 << 17, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 127, 257}}),
                      number("heads", 1, 256, "heads of the queries",
                             {.usual = 4, .quick = {1, 3, 8}, .full = {1, 7, 33}, .soak = {64, 128}}),
                      word("layout", wide_head_layouts(), "memory layout of the heads"),
                      word("index", {"i32", "i64"}, "type of the positions"),
                      number("table", 1, 1 << 17, "positions in the angle table",
                             {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                      word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                      word("at", position_places(), "which positions the tokens have"), eps_values(),
                      word("fill", norm_row_fill_names(), "distribution of the elements")},
            .signature = {{in("q_input", {kBF16}, "tokens heads 512:dim", {.gaps = true, .far = "tokens=3 heads=3"}),
                           out("q_output", {kBF16}, "tokens heads 512:dim",
                               {.gaps = true, .any_nan = true, .far = "tokens=3 heads=3"}),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
                           in("positions", {kI32, kI64}, "tokens:count",
                              {.dtype_of = "index", .index = Index{.limit = "table"}}),
                           real("eps")},
                          "tokens"},
            .smoke = {"layout=gaps", "tokens=3 heads=3 layout=slice index=i64 eps=1e-2 fill=integers",
                      "tokens=9 heads=1 at=last fill=small", "tokens=2 heads=2 angles=axes fill=one_nan"},
            .quick = {"cover"},
            .full = {"cover", "tokens=128 heads=64 layout=slice index=i64 table=65537",
                     "tokens=1 heads=128 fill=cancel", "tokens=1500 heads=3 table=4099 fill=wide"},
            .bench = each({"tokens={} heads=64 layout=slice index=i64 table=65536"}, {"64", "512", "4096"}),
            .host_note = "the error of rsqrtf, and which products nvcc fuses",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("tokens") * p.integer("heads") <= 1 << 17) return std::nullopt;
    return "this case would take too long: tokens times heads must be at most 2^17";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (has_trivial_rows(p)) return {"angles", "at", "table", "eps"};
    return idle_angles(p);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t tokens = p.integer("tokens"), heads = p.integer("heads");
    const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    const HostTensor positions = positions_tensor(p, c.seed);
    HostTensor input = wide_heads(p.text("layout"), false, tokens, heads, kHeadDim);
    Random random(c.seed, "q_input");
    for (std::int64_t row = 0; row < tokens * heads; ++row) {
      const float* const angles = &table.at<float>(integer_at(positions, row / heads), 0);
      norm_row_fills(angles).apply(p.text("fill"), random, Elements(input, row * kHeadDim, kHeadDim));
    }
    return call({input, wide_heads(p.text("layout"), true, tokens, heads, kHeadDim), table, positions, eps_of(p)});
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"q_output"},
                     "sums of 512 squares and rsqrtf within their errors; either product of a*b + c*d may be fused");
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("tokens") == 0 || has_trivial_rows(c.params);
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    const double rows = tokens * static_cast<double>(c.params.integer("heads"));
    return {.bytes = rows * 2.0 * sizeof(std::uint16_t) * kHeadDim + tokens * sizeof(float) * kRotaryDim,
            .flops = rows * (3.0 * kHeadDim + 3.0 * kRotaryDim)};
  }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"position_outside", positions_outside(call)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{angles_further_down(),
                               far_angles(at({"tokens=10 heads=1", "tokens=10 heads=1 index=i64"})),
                               many_relation("tokens", at({}, {"tokens=3 heads=1 table=70000 at=last"})),
                               many_relation("heads", in_full(params_at("tokens=1 heads=3 index=i64"))),
                               odd_strides({"q_input", "q_output"}, at({"heads=1"}))};
    Contracts contracts(list);  // the first smoke point: 5 tokens, 4 heads, 300 positions in i32
    no_heads(contracts, *this);
    for (const std::string name : {"q_input", "q_output"}) {
      contracts.edge(name + "_heads_apart",
                     "with a gap after each head, the outputs stay the same, or the call is refused",
                     [name](Call& call) {
                       HostTensor& heads = call.arg(name).tensor();
                       heads = with_strides(heads, {4 * 520, 520, 1});
                     });
    }
    return list;
  }
};

DSV4_REGISTER_OP(QNormRope);

}  // namespace
}  // namespace dsv4
