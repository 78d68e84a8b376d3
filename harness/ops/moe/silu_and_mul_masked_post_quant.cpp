/// silu_and_mul_masked_post_quant: silu(gate) * up for the rows that experts use, quantised to E4M3 in groups of 128.
///
/// silu uses approximate exponentials and reciprocals, so a code or a scale near a rounding boundary has two right
/// values. The reference computes the interval that the error bound of silu allows. For codes, it uses the kernel's own
/// scales. For nearly all elements, the interval is a single value.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/moe/gate_up_rows.h"
#include "harness/ops/moe/masked_rows.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

/// Number of rows that expert e uses.
std::int64_t count_of(const Params& p, Random& random, std::int64_t e) {
  const std::int64_t experts = p.integer("experts"), tokens = p.integer("tokens"), topk = p.integer("topk");
  const std::string& kind = p.text("counts");
  if (kind == "full") return tokens;
  if (kind == "quarter") return tokens / 4;
  if (kind == "one") return e == experts / 2 ? tokens : 0;
  if (kind == "ends") return e == 0 || e == experts - 1 ? tokens : 0;
  // "exact" gives tokens * topk rows; "surplus" gives one row more, which is dropped.
  if (kind == "exact") return e < topk ? tokens : 0;
  if (kind == "surplus") return e < topk ? tokens : (e == experts - 1 ? 1 : 0);
  if (kind != "mixed") return 0;
  const std::int64_t n = random.between(0, tokens);
  return e == 0 ? std::max<std::int64_t>(n, 1) : n;
}

/// At this point every row in use is processed. So a wrong count changes no row of another expert.
const Index kCounts{.limit = "tokens", .count = true, .at = "topk=3 ue8m0=1 transposed=1 limit=10"};

class SiluAndMulMaskedPostQuant final : public Op {
 public:
  SiluAndMulMaskedPostQuant()
      : Op({
            .name = "silu_and_mul_masked_post_quant",
            .family = "moe",
            .summary = "silu(gate) * up of the rows that experts use, quantised to E4M3 in groups of 128",
            .upstream = "silu_and_mul_masked_post_quant, _jit_silu_mul_quant_varlen_module",
            .space = {number("experts", 1, 256, "experts",
                             {.usual = 3, .quick = {1, 2, 4, 7}, .full = {2, 16, 32}, .soak = {31, 33, 64, 255, 256}}),
                      number("tokens", 1, 65536, "rows per expert",
                             {.usual = 4, .quick = {1, 2, 4}, .full = {4, 16}, .soak = {8, 128}}),
                      number("dim", 256, 8192, "outputs of a row, a multiple of 256",
                             {.usual = 512, .quick = {256, 512}, .full = {1024, 2048}}),
                      number("topk", 1, 64, "at most tokens * topk rows are processed",
                             {.usual = 2, .both = {1, 2, 6}, .soak = {8}}),
                      flag("ue8m0", "scales are powers of two"),
                      flag("swizzle", "gates and ups alternate in chunks of 8"),
                      flag("transposed", "scales as bytes, tokens innermost"),
                      word("limit", {"none", "10", "7", "7.03", "0.1", "0", "-1", "1e30"}, "clamp of gates and ups"),
                      word("counts", {"mixed", "full", "none", "one", "ends", "exact", "surplus"},
                           "rows in use per expert", {"quarter"}),
                      word("fill", covered_gate_up_fills(), "distribution of gates and ups", {"near_edges"}),
                      word("form", {"main"},
                           "main, or as in sglang 0.5.12's file ..._tmp.cuh: clamps in float, or rounds v", {"tmp"})},
            .signature =
                {{in("input", {kBF16}, "experts? tokens? columns!"), out("output", {kE4M3}, "experts tokens dim"),
                  out("output_scale", {kI32, kF32}, "experts scale_rows! scale_columns!:shape", {.called = "scale"}),
                  in("masked_m", {kI32}, "experts:size", {.called = "counts", .index = kCounts}), integer("topk"),
                  truth("transposed"), real("swiglu_limit")},
                 "experts"},
            // At the last point, values reach both ends of both clamps.
            .smoke = {"ue8m0=1 transposed=1 limit=10", "experts=2 dim=256 swizzle=1 counts=full fill=wide",
                      "experts=2 limit=7.03 counts=full fill=at_limit",
                      "experts=2 dim=256 ue8m0=1 limit=7.03 counts=full fill=at_limit form=tmp",
                      "experts=2 dim=256 counts=full form=tmp", "experts=2 dim=256 limit=-1 counts=full form=tmp"},
            .quick = joined(
                {{"cover"},
                 // Numbers of experts around 32 (a warp), and the most experts that the smallest
                 // dim allows.
                 each({"experts={} tokens=1 dim=256 topk=40 ue8m0=1 limit=10"}, {"31", "32"}),
                 each({"experts={} tokens=1 topk=40 ue8m0=1 transposed=1 limit=10"}, {"33", "64"}),
                 // Every compile-time variant, and rows with an odd number of blocks.
                 each(each(each({"ue8m0={} swizzle={} limit={}"}, {"0", "1"}), {"0", "1"}), {"none", "10"}),
                 {"ue8m0=1 transposed=1 counts=full fill=near_edges", "ue8m0=1 swizzle=1 counts=full fill=near_edges",
                  "counts=full fill=near_edges", "dim=1536 ue8m0=1 transposed=1 limit=10", "dim=2304 ue8m0=1 limit=10",
                  "ue8m0=1 transposed=1 limit=10 counts=quarter"},
                 {"cover experts=2|4 tokens=2|4 topk=2|6 counts=mixed|full|surplus at form=tmp swizzle=0",
                  "ue8m0=1 counts=full fill=near_edges form=tmp"}}),
            .full =
                joined({{"cover"},
                        each({"experts=8 tokens=8 dim={} topk=6 ue8m0=1 limit=10"}, {"2304", "3072", "4096", "8192"}),
                        each({"experts={} dim=2048 topk=8 ue8m0=1 swizzle=1 transposed=1 limit=10"}, {"255", "256"}),
                        {"experts=8 tokens=128 dim=2048 topk=6 ue8m0=1 transposed=1 limit=10 counts=full"}}),
            .bench = joined({each({"experts=32 tokens={} dim=2048 topk=8 ue8m0=1 transposed=1 limit=10 counts=quarter"},
                                  {"128", "1024"}),
                             {"experts=32 tokens=1024 dim=2048 topk=8 limit=10 counts=quarter"}}),
            .host_note = "the effects of fast-math: on a CPU the exponential and the reciprocal are accurate, and "
                         "subnormals are not flushed to zero",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (const auto reason = reject_quantiser(p)) return reason;
    if (p.is("form", "tmp") && p.flag("swizzle")) return "form=tmp has no swizzled variants";
    if (p.integer("dim") / 8 < p.integer("experts"))
      return "a row needs at least one thread per expert: dim / 8 >= experts";
    if ((p.is("counts", "surplus") || p.is("counts", "exact")) && p.integer("experts") <= p.integer("topk"))
      return "counts=exact and counts=surplus need more experts than topk";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("experts") * p.integer("tokens") * p.integer("dim") <= 1 << 21) return std::nullopt;
    return "this case would take too long: experts times tokens times dim must be at most 2^21";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (!p.is("counts", "none")) return {};
    return {"topk", "ue8m0", "swizzle", "transposed", "limit", "fill"};
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t experts = p.integer("experts"), tokens = p.integer("tokens"), dim = p.integer("dim");
    Call call = masked_call(*this, quantiser_variant(p), experts, tokens, dim, p.flag("transposed"));
    Random counts(c.seed, "masked_m");
    for (std::int64_t e = 0; e < experts; ++e) set_integer(call.arg("masked_m").tensor(), e, count_of(p, counts, e));
    fill_gate_up_rows(call.arg("input").tensor(), p, p.flag("swizzle"), c.seed);
    call.arg("topk").value = p.integer("topk");
    call.arg("swiglu_limit").value = limit_of(p);
    poison_unprocessed_rows(call);
    fit(call);
    return call;
  }

  void fit(Call& call) const override { set_masked_footprints(call); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    Observation o;
    o.add("codes", masked_codes(call, result.tensor("output")));
    o.add("scales", masked_scales(call, result.tensor("output_scale")));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    Call scaled = call;
    scaled.arg("output_scale") = in("output_scale", got.tensor("output_scale"));
    const Tolerances ends = intervals(scaled, reference, {"output", "output_scale"}, "");
    const auto &code = ends.at("output"), &scale = ends.at("output_scale");
    return {
        {"codes", Tolerance::between(masked_codes(call, code.low), masked_codes(call, code.high), kCodesReason)},
        {"scales", Tolerance::between(masked_scales(call, scale.low), masked_scales(call, scale.high), kScalesReason)}};
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    // Trivial if there are no rows. Also trivial if every gate and up is clamped to -1, because then all outputs
    // are equal.
    const Params& p = c.params;
    const bool no_row = p.is("counts", "none") || (p.is("counts", "quarter") && p.integer("tokens") < 4);
    return no_row || (p.is("limit", "-1") && p.is("fill", "integers"));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const MaskedSizes s(call);
    double rows = 0;
    for_each_masked_row(call, [&](std::int64_t, std::int64_t) { ++rows; });
    return {.bytes = rows * static_cast<double>(5 * s.dim + s.groups() * s.scale_bytes()),
            .flops = rows * static_cast<double>(s.dim) * 6.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return silu_scenarios(*this); }
};

DSV4_REGISTER_OP(SiluAndMulMaskedPostQuant);

}  // namespace
}  // namespace dsv4
