/// silu_and_mul_contig_post_quant: silu(gate) * up for the rows of a matrix, quantised to E4M3 in groups of 128.
///
/// silu_and_mul_masked_post_quant computes the same for the rows of experts. As there, codes and scales have intervals,
/// and nearly all intervals are a single value.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/moe/contig_rows.h"
#include "harness/ops/moe/gate_up_rows.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

class SiluAndMulContigPostQuant final : public Op {
 public:
  SiluAndMulContigPostQuant()
      : Op({
            .name = "silu_and_mul_contig_post_quant",
            .family = "moe",
            .summary = "silu(gate) * up of the rows of a matrix, quantised to E4M3 in groups of 128",
            .upstream = "silu_and_mul_contig_post_quant, _jit_silu_mul_quant_contig_module",
            .space = {number("rows", 1, 1 << 20, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5}, .full = {1, 4, 33, 127, 128}}),
                      number("dim", 256, 8192, "outputs of a row, a multiple of 256",
                             {.usual = 512, .quick = {256, 512}, .full = {512, 1024, 2048}}),
                      flag("ue8m0", "scales are powers of two"),
                      flag("swizzle", "gates and ups alternate in chunks of 8"),
                      flag("transposed", "scales as bytes, tokens innermost"),
                      number("pad", 0, 1 << 20, "unused words after each column of scales, if transposed",
                             {.both = {0, 4}}),
                      word("limit", {"none", "10", "7", "7.03", "0.1", "0", "-1", "1e30"}, "clamp of gates and ups"),
                      word("fill", covered_gate_up_fills(), "distribution of gates and ups", {"near_edges"})},
            .signature = {{in("input", {kBF16}, "rows columns!"), out("output", {kE4M3}, "rows dim"),
                           out("output_scale", {kF32, kI32}, "rows scale_columns!:shape", {.called = "scale"}),
                           truth("transposed"), real("swiglu_limit")},
                          "rows"},
            // At the third point, values reach both ends of both clamps.
            .smoke = {"dim=1536 ue8m0=1 transposed=1 limit=10", "rows=2 dim=256 swizzle=1 fill=wide",
                      "rows=3 limit=7.03 fill=at_limit",
                      "rows=3 ue8m0=1 swizzle=1 transposed=1 pad=4 fill=scale_edges"},
            .quick = joined({{"cover"},
                             // Every compile-time variant.
                             each(each(each({"ue8m0={} swizzle={} limit={}"}, {"0", "1"}), {"0", "1"}), {"none", "10"}),
                             {"ue8m0=1 transposed=1 fill=near_edges", "ue8m0=1 swizzle=1 fill=near_edges",
                              "fill=near_edges", "dim=1536 ue8m0=1 transposed=1 pad=3", "dim=2304 ue8m0=1 limit=10",
                              "rows=1 dim=1536 ue8m0=1 transposed=1"}}),
            .full = joined({{"cover"},
                            each({"rows=8 dim={} ue8m0=1 limit=10"}, {"2304", "3072", "4096", "8192"}),
                            {"rows=257 dim=2048 ue8m0=1 transposed=1 limit=10", "rows=513 dim=2048 limit=10"}}),
            .contract_point = "dim=1536 ue8m0=1 limit=10",
            .bench = joined({each({"rows={} dim=2048 ue8m0=1 transposed=1 limit=10"}, {"64", "4096"}),
                             {"rows=4096 dim=2048 limit=10"}}),
            .host_note = "the effects of fast-math: on a CPU the exponential and the reciprocal are accurate, and "
                         "subnormals are not flushed to zero",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_quantiser(p); }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("rows") * p.integer("dim") <= 1 << 21) return std::nullopt;
    return "this case would take too long: rows times dim must be at most 2^21";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (p.flag("transposed")) return {};
    return {"pad"};
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    Call call = contig_call(*this, quantiser_variant(p), p.integer("rows"), p.integer("dim"), p.flag("transposed"),
                            p.integer("pad"));
    fill_gate_up_rows(call.arg("input").tensor(), p, p.flag("swizzle"), c.seed);
    call.arg("swiglu_limit").value = limit_of(p);
    return call;
  }

  /// If rows were removed, the scales are in the usual order. Then they are transposed again.
  void fit(Call& call) const override {
    HostTensor& scale = call.arg("output_scale").tensor();
    if (flag_of(call, "transposed") && scale.contiguous()) {
      scale = transposed_scale(scale.size(0), scale.size(1), 0);
    }
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    Observation o;
    o.add("codes", result.tensor("output"));
    return std::move(o.add("scales", scales_by_group(call, result.tensor("output_scale"))));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    Call scaled = call;
    scaled.arg("output_scale") = in("output_scale", got.tensor("output_scale"));
    const Tolerances ends = intervals(scaled, reference, {"output", "output_scale"}, "");
    const auto &code = ends.at("output"), &scale = ends.at("output_scale");
    return {{"codes", Tolerance::between(code.low, code.high, kCodesReason)},
            {"scales",
             Tolerance::between(scales_by_group(call, scale.low), scales_by_group(call, scale.high), kScalesReason)}};
  }

  /// `far_scale`, for each scale: 1 if it is at an offset of 2^32 bytes or more.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    const Arg& scale = call.arg("output_scale");
    const std::int64_t words = flag_of(call, "transposed") ? scale.tensor().size(1) : 0;
    const std::int64_t stride = scale.far_layout ? scale.far_layout->strides.at(1) : 0;
    HostTensor far = HostTensor::make(kI64, {scale.tensor().size(0), call.tensor("output").size(1) / kScaleGroup});
    for (std::int64_t r = 0; r < far.size(0); ++r) {
      for (std::int64_t g = 0; g < 4 * words; ++g) far.at<std::int64_t>(r, g) = 4 * (g / 4) * stride >> 32 != 0 ? 1 : 0;
    }
    return {{"far_scale", std::move(far)}};
  }

  /// Trivial if every gate and up is clamped to -1, because then all outputs are equal.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.is("limit", "-1") && c.params.is("fill", "integers");
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto outputs = static_cast<double>(call.tensor("output").numel());
    const double scale_bytes = outputs / static_cast<double>(kScaleGroup) * (flag_of(call, "transposed") ? 1.0 : 4.0);
    return {.bytes = outputs * 5.0 + scale_bytes, .flops = outputs * 6.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return contig_scenarios(*this); }
};

DSV4_REGISTER_OP(SiluAndMulContigPostQuant);

}  // namespace
}  // namespace dsv4
