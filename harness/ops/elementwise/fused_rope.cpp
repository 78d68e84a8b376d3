/// fused_rope: rotates the rotary dimensions of queries, and optionally keys, by the angles of their positions,
/// in place.
///
/// The result is exact except for one choice of the compiler: it may fuse either product of a*b + c*d into the sum, or
/// neither. So there are three right results, and the reference computes the interval that contains them. For nearly
/// all elements, the interval is a single value.
#include <algorithm>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/fused_rope_scenarios.h"

namespace dsv4 {
namespace {

class FusedRope final : public Op {
 public:
  FusedRope()
      : Op({
            .name = "fused_rope",
            .family = "elementwise",
            .summary = "rotate queries and keys by their positions' angles, in place",
            .upstream = "fused_rope, fused_rope_inplace, _jit_fused_rope_module",
            .space = {number("tokens", 0, 1 << 17, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 127, 257}}),
                      number("q_heads", 1, 256, "heads of the queries",
                             {.usual = 8, .quick = {1, 3, 8}, .full = {1, 7, 33}, .soak = {64, 128}}),
                      number("k_heads", 0, 256, "heads of the keys, 0 for none", {.usual = 1, .both = {0, 1, 3}}),
                      word("layout", head_layouts(), "memory layout of the heads", mixed_layouts()),
                      word("index", {"i32", "i64"}, "type of the positions"), flag("inverse", "whether to rotate back"),
                      number("table", 1, 1 << 17, "positions in the angle table",
                             {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                      word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                      word("at", position_places(), "which positions the tokens have"),
                      word("fill", head_fills(), "distribution of the elements")},
            .signature = {{inout("q", {kBF16}, "tokens q_heads 64:dim",
                                 {.gaps = true, .any_nan = true, .names = {{"columns_strided", "q_dims_strided"}}}),
                           inout("k", {kBF16}, "tokens k_heads 64:dim",
                                 {.gaps = true, .optional = true, .any_nan = true}),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
                           in("positions", {kI32, kI64}, "tokens:count",
                              {.dtype_of = "index", .index = Index{.limit = "table"}}),
                           truth("inverse")},
                          "tokens"},
            .smoke = {"layout=gaps", "tokens=3 q_heads=4 k_heads=0 layout=tail index=i64 inverse=1 fill=special"},
            .quick = joined(
                {{"cover"}, each(each({"q_heads=3 k_heads=3 layout={} index={}"}, mixed_layouts()), {"i32", "i64"})}),
            .full = {"cover", "tokens=512 q_heads=64 k_heads=0 layout=tail index=i64 inverse=1 table=65537",
                     "tokens=8 q_heads=128 table=65537 at=last",
                     "tokens=1200 q_heads=27 k_heads=0 layout=tail index=i64 inverse=1 table=4099"},
            .bench = each({"tokens={} q_heads=64 k_heads=0 layout=tail index=i64 inverse=1 table=65536"},
                          {"64", "512", "4096"}),
            .host_note = "which products nvcc fuses",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    const std::int64_t heads = p.integer("q_heads") + p.integer("k_heads");
    if (p.integer("tokens") * heads <= 1 << 17) return std::nullopt;
    return "this case would take too long: tokens times heads must be at most 2^17";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    std::vector<std::string> names = idle_angles(p);
    if (std::ranges::count(names, "angles") != 0) names.emplace_back("inverse");
    return names;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    const HostTensor positions = positions_tensor(p, c.seed);
    const auto heads = [&](const char* name, std::int64_t count) {
      const std::string layout = layout_of(p.text("layout"), name == std::string_view("k"));
      HostTensor x = heads_tensor(layout, p.integer("tokens"), count);
      Random random(c.seed, name);
      fill_heads(x, p.text("fill"), table, positions, p.flag("inverse"), random);
      return x;
    };
    const std::int64_t k_heads = p.integer("k_heads");
    return call({heads("q", p.integer("q_heads")), k_heads == 0 ? Value(None{}) : Value(heads("k", k_heads)), table,
                 positions, p.flag("inverse")});
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"q", "k"}, "either product of a*b + c*d may be fused into the sum, or neither");
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return c.params.integer("tokens") == 0; }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto heads = static_cast<double>(c.params.integer("q_heads") + c.params.integer("k_heads"));
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    return {.bytes = tokens * (heads * 256.0 + 256.0), .flops = tokens * heads * 64.0 * 3.0};
  }

  /// `position_outside`, for each token: 1 if its position is not in the table of angles.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"position_outside", positions_outside(call)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return fused_rope_scenarios(*this); }
};

DSV4_REGISTER_OP(FusedRope);

}  // namespace
}  // namespace dsv4
