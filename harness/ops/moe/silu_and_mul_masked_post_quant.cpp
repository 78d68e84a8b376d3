/// silu_and_mul_masked_post_quant: silu(gate) * up for the rows that experts use, quantised to E4M3 in groups of 128.
///
/// silu passes through approximate exponentials and reciprocals, so a code or a scale near a rounding boundary may go
/// either way. The reference certifies, under the kernel's own scales, which codes its error bound admits; nearly
/// everywhere that is one.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/case/covering.h"
#include "harness/core/bits.h"
#include "harness/core/error.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/op/scenarios.h"
#include "harness/ops/moe/gate_up_fills.h"
#include "harness/ops/moe/masked_rows.h"

namespace dsv4 {
namespace {

constexpr const char* kName = "silu_and_mul_masked_post_quant";

const std::vector<std::string> kCounts{"mixed", "full", "none", "one", "ends", "exact", "surplus"};
const std::vector<std::string> kLimits{"none", "10", "7", "7.03", "0.1", "0", "-1", "1e30"};

/// The limit as a number; 0 for "none", as upstream's caller passes.
double limit_of(const Params& p) { return p.is("limit", "none") ? 0.0 : std::stod(p.text("limit")); }

class SiluAndMulMaskedPostQuant final : public Op {
 public:
  SiluAndMulMaskedPostQuant()
      : Op({.name = kName,
            .family = "moe",
            .summary = "silu(gate) * up of the rows that experts use, quantised to E4M3 in groups of 128",
            .upstream = "silu_and_mul_masked_post_quant",
            .abis = {"silu_and_mul_masked_post_quant/1"},
            .space = {ParamSpec::integer("experts", 1, 256, "experts", {1, 2, 31, 32, 33, 64, 255, 256}),
                      ParamSpec::integer("tokens", 1, 65536, "rows per expert", {1, 4, 8, 128}),
                      ParamSpec::integer("dim", 256, 8192, "outputs of a row, a multiple of 256",
                                         {256, 512, 1024, 2048}),
                      ParamSpec::integer("topk", 1, 64, "at most tokens * topk rows are processed", {1, 2, 6, 8}),
                      ParamSpec::choice("ue8m0", {"0", "1"}, "scales are powers of two"),
                      ParamSpec::choice("swizzle", {"0", "1"}, "gates and ups alternate in chunks of 8"),
                      ParamSpec::choice("transposed", {"0", "1"}, "scales as bytes, tokens innermost"),
                      ParamSpec::choice("limit", kLimits, "clamp of gates and ups"),
                      ParamSpec::choice("counts", kCounts, "rows in use per expert"),
                      ParamSpec::choice("fill", gate_up_fills(), "distribution of gates and ups")},
            .host_note = "fast-math: the exponential and the reciprocal are accurate on a CPU, and nothing is flushed "
                         "to zero"}) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const std::int64_t dim = p.integer("dim");
    if (dim % 256 != 0) return "dim must be a multiple of 256: a warp handles 256 outputs";
    if (dim / 8 < p.integer("experts")) return "a row needs at least one thread per expert: dim / 8 >= experts";
    if (p.flag("transposed") && !p.flag("ue8m0")) return "the transposed layout holds exponent bytes: ue8m0 only";
    if (p.flag("transposed") && dim % 512 != 0)
      return "the transposed layout packs 4 groups: dim must be a multiple of 512";
    if ((p.is("counts", "surplus") || p.is("counts", "exact")) && p.integer("experts") <= p.integer("topk")) {
      return "with no more experts than topk no row is ever surplus";
    }
    if (p.integer("experts") * p.integer("tokens") * dim > 1 << 21) {
      return "experts times tokens times dim must be at most 2^21: larger cases try patience, not kernels";
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(3, 4, 512, 2, 1, 0, 1, "10", "mixed", "gauss"),
              point(2, 4, 256, 2, 0, 1, 0, "none", "full", "wide"),
              point(2, 4, 512, 2, 0, 0, 0, "7.03", "full", "at_limit")};  // both ends of both clamps
    }
    const auto valid = [this](const Params& p) { return !reject(p).has_value(); };
    const auto axes = [](std::vector<std::int64_t> experts, std::vector<std::int64_t> tokens,
                         std::vector<std::int64_t> dim) {
      return std::vector<Axis>{axis("experts", experts),     axis("tokens", tokens), axis("dim", dim),
                               axis("topk", {1, 2, 6}),      axis("ue8m0", {0, 1}),  axis("swizzle", {0, 1}),
                               axis("transposed", {0, 1}),   axis("limit", kLimits), axis("counts", kCounts),
                               axis("fill", gate_up_fills())};
    };
    if (tier == Tier::kQuick) {
      std::vector<Params> all = pairwise(axes({1, 2, 4, 7}, {1, 2, 4}, {256, 512}), valid);
      // One warp's worth of experts, one more, and as many as the narrowest row can serve.
      for (const std::int64_t experts : {31, 32})
        all.push_back(point(experts, 1, 256, 40, 1, 0, 0, "10", "mixed", "gauss"));
      for (const std::int64_t experts : {33, 64})
        all.push_back(point(experts, 1, 512, 40, 1, 0, 1, "10", "mixed", "gauss"));
      // Every kernel that the switches make, and rows of an odd number of blocks.
      for (const std::int64_t ue8m0 : {0, 1}) {
        for (const std::int64_t swizzle : {0, 1}) {
          for (const char* limit : {"none", "10"})
            all.push_back(point(3, 4, 512, 2, ue8m0, swizzle, 0, limit, "mixed", "gauss"));
        }
      }
      all.push_back(point(3, 4, 1536, 2, 1, 0, 1, "10", "mixed", "gauss"));
      all.push_back(point(3, 4, 2304, 2, 1, 0, 0, "10", "mixed", "gauss"));
      return all;
    }
    std::vector<Params> all = pairwise(axes({2, 16, 32}, {4, 16}, {1024, 2048}), valid);
    for (const std::int64_t dim : {2304, 3072, 4096, 8192})
      all.push_back(point(8, 8, dim, 6, 1, 0, 0, "10", "mixed", "gauss"));
    for (const std::int64_t experts : {255, 256})
      all.push_back(point(experts, 4, 2048, 8, 1, 1, 1, "10", "mixed", "gauss"));
    all.push_back(point(8, 128, 2048, 6, 1, 0, 1, "10", "full", "gauss"));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t experts = p.integer("experts"), tokens = p.integer("tokens"), dim = p.integer("dim");
    const bool swizzle = p.flag("swizzle"), transposed = p.flag("transposed");
    HostTensor input = HostTensor::make(DType::kBF16, {experts, tokens, 2 * dim});
    Random random(c.seed, "input");
    auto* const bits = input.data<std::uint16_t>();
    for (std::int64_t row = 0; row < experts * tokens; ++row) {
      for (std::int64_t j = 0; j < dim; ++j) {
        const GateUp pair = gate_up(p.text("fill"), random, static_cast<float>(limit_of(p)), j % kScaleGroup == 17);
        const std::int64_t gate = swizzle ? 16 * (j / 8) + j % 8 : j;
        const std::int64_t up = swizzle ? gate + 8 : dim + j;
        bits[row * 2 * dim + gate] = bf16_from_float(pair.gate);
        bits[row * 2 * dim + up] = bf16_from_float(pair.up);
      }
    }
    Call call{
        kName,
        "",
        Params()
            .set("group", kScaleGroup)
            .set("ue8m0", p.text("ue8m0"))
            .set("swizzle", p.text("swizzle"))
            .set("clamp", p.is("limit", "none") ? "0" : "1"),
        {in("input", std::move(input)), out("output", HostTensor::make(DType::kE4M3, {experts, tokens, dim})),
         out("output_scale", transposed ? HostTensor::make(DType::kI32, {experts, dim / (4 * kScaleGroup), tokens})
                                        : HostTensor::make(DType::kF32, {experts, tokens, dim / kScaleGroup})),
         in("masked_m", counts_of(c)), scalar("topk", p.integer("topk")), scalar("transposed", transposed),
         scalar("swiglu_limit", limit_of(p))}};
    poison_unprocessed_rows(call);
    set_masked_footprints(call);
    return call;
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    Observation o;
    o.add("codes", masked_codes(call, result.tensor("output")));
    o.add("scales", masked_scales(call, result.tensor("output_scale")));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    const HostTensor& scale = got.tensor("output_scale");
    Call certificate{kName, "interval", call.compile, {call.arg("input"), in("output_scale", scale)}};
    const HostTensor no_code = HostTensor::make(DType::kE4M3, call.tensor("output").shape);
    const HostTensor no_scale = HostTensor::make(scale.dtype, scale.shape);
    for (const char* name : {"code_lo", "code_hi"}) certificate.args.push_back(inout(name, no_code));
    for (const char* name : {"scale_lo", "scale_hi"}) certificate.args.push_back(inout(name, no_scale));
    for (const char* name : {"masked_m", "topk", "transposed", "swiglu_limit"})
      certificate.args.push_back(call.arg(name));
    const CallResult r = reference.call(certificate);
    if (r.refusal) throw Error(fmt::format("{}: the reference refused to certify: {}", kName, *r.refusal));
    return {
        {"codes", Tolerance::between(masked_codes(call, r.tensor("code_lo")), masked_codes(call, r.tensor("code_hi")),
                                     "error bound of fast silu, under the kernel's own scale")},
        {"scales",
         Tolerance::between(masked_scales(call, r.tensor("scale_lo")), masked_scales(call, r.tensor("scale_hi")),
                            "error bound of fast silu on the group's greatest magnitude")}};
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    // Without rows; or every gate and every up is clamped to -1, which leaves one value.
    return c.params.is("counts", "none") || (c.params.is("limit", "-1") && c.params.is("fill", "integers"));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const MaskedSizes s(call);
    double rows = 0;
    for_each_masked_row(call, [&](std::int64_t, std::int64_t) { ++rows; });
    return {.bytes = rows * static_cast<double>(5 * s.dim + s.groups() * s.scale_bytes()),
            .flops = rows * static_cast<double>(s.dim) * 6.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 private:
  static Params point(std::int64_t experts, std::int64_t tokens, std::int64_t dim, std::int64_t topk,
                      std::int64_t ue8m0, std::int64_t swizzle, std::int64_t transposed, const char* limit,
                      const char* counts, const char* fill) {
    return Params()
        .set("experts", experts)
        .set("tokens", tokens)
        .set("dim", dim)
        .set("topk", topk)
        .set("ue8m0", ue8m0)
        .set("swizzle", swizzle)
        .set("transposed", transposed)
        .set("limit", limit)
        .set("counts", counts)
        .set("fill", fill);
  }

  static HostTensor counts_of(const Case& c) {
    const Params& p = c.params;
    const std::int64_t experts = p.integer("experts"), tokens = p.integer("tokens"), topk = p.integer("topk");
    const std::string& kind = p.text("counts");
    HostTensor counts = HostTensor::make(DType::kI32, {experts});
    Random random(c.seed, "masked_m");
    for (std::int64_t e = 0; e < experts; ++e) {
      std::int64_t n = 0;
      if (kind == "full") n = tokens;
      if (kind == "mixed") n = random.between(0, tokens);
      if (kind == "one") n = e == experts / 2 ? tokens : 0;
      if (kind == "ends") n = e == 0 || e == experts - 1 ? tokens : 0;
      // tokens * topk rows exactly, or one more, which is dropped.
      if (kind == "exact") n = e < topk ? tokens : 0;
      if (kind == "surplus") n = e < topk ? tokens : (e == experts - 1 ? 1 : 0);
      if (kind == "mixed" && e == 0) n = std::max<std::int64_t>(n, 1);
      counts.at<std::int32_t>(e) = static_cast<std::int32_t>(n);
    }
    return counts;
  }
};

/// The experts become seven of 256 with 4200 rows each, of which the first is live.
void spread_experts(Call& call) {
  constexpr std::int64_t kExperts = 256, kTokens = 4200;
  const MaskedSizes s(call);
  const std::vector<std::int64_t> experts = far_rows(s.experts, kTokens * 2 * s.dim, far_edges(DType::kBF16));
  for (const char* name : {"input", "output", "output_scale"}) {
    Arg& arg = call.arg(name);
    Shape shape = arg.tensor().shape;
    shape[0] = kExperts;
    shape[s.transposed && arg.name == "output_scale" ? 2 : 1] = kTokens;
    arg.placement = Placement{shape, {shape[1] * shape[2], shape[2], 1}, experts};
  }
  HostTensor counts = HostTensor::make(DType::kI32, {kExperts});
  for (const std::int64_t e : experts) counts.at<std::int32_t>(e) = 1;
  call.arg("masked_m").tensor() = counts;
  call.arg("topk").value = std::int64_t{1};  // room for 4200 rows
}

std::vector<Scenario> SiluAndMulMaskedPostQuant::scenarios() const {
  std::vector<Scenario> list;
  list.push_back(params_relation("swizzle", "the same pairs in the other column order give the same bits",
                                 kFirstSmokePoint, [](Params& p) { p.set("swizzle", p.flag("swizzle") ? "0" : "1"); }));
  list.push_back(params_relation("topk", "room for more rows than there are changes nothing",
                                 // As many as there are experts: room for every row, whatever the counts.
                                 only({point(3, 4, 512, 3, 1, 0, 1, "10", "mixed", "gauss")}),
                                 [](Params& p) { p.set("topk", "64"); }));
  list.push_back(call_relation("transposed", "scales as floats are the powers of two that the bytes stand for",
                               // Three words of scales a row: with one, tokens and words may change places unseen.
                               only({point(3, 4, 1536, 2, 1, 0, 1, "none", "mixed", "scale_edges")}),
                               [this](Case& c, Call& call, Observation& want) {
                                 c.params.set("transposed", "0");
                                 call = make(c);
                                 HostTensor& bytes = want.outputs.back().value;
                                 HostTensor floats = HostTensor::make(DType::kF32, bytes.shape);
                                 for (std::int64_t i = 0; i < bytes.numel(); ++i) {
                                   // Rows that are not processed are zero on both sides.
                                   const int b = *bytes.element(i);
                                   set_float(floats, i, b == 0 ? 0.0 : std::ldexp(1.0, b - 127));
                                 }
                                 bytes = floats;
                               }));
  list.push_back(relation("idle_clamp", "a limit that nothing reaches gives the bits of no limit", kFirstSmokePoint,
                          [this](ScenarioContext& x) {
                            Case with = x.c, without = x.c;
                            with.params.set("limit", "1e30");
                            without.params.set("limit", "none");
                            const Call a = make(with), b = make(without);
                            x.expect_agree("no limit", x.observed(without, "no limit", b),
                                           x.observed(with, "limit 1e30", a));
                          }));
  list.push_back(relation("unaligned",
                          "rows off the grid of wide accesses give the bits of rows on it, or a clean refusal",
                          kFirstSmokePoint, [this](ScenarioContext& x) {
                            const Call call = make(x.c);
                            Call moved = call;
                            moved.arg("input").misalign = 2;
                            moved.arg("output").misalign = 1;
                            const CallResult got = x.subject.call(moved);
                            for (const Finding& f : got.findings) x.fail(f.check, "unaligned: " + f.detail);
                            x.compared(1);
                            if (got.refusal) return;
                            x.expect_agree("unaligned", observe(x.c, moved, got), x.observed("aligned", call));
                          }));
  list.push_back(far_relation("input", "rows beyond 2^32 elements of the input and 2^31 of the output",
                              only({point(7, 1, 2048, 7, 1, 0, 1, "10", "full", "gauss")},
                                   {point(7, 1, 2048, 7, 0, 1, 0, "none", "full", "gauss")}),
                              spread_experts));

  Contracts contracts(list);
  // The first smoke point: 3 experts of 4 rows of 512 outputs, ue8m0, transposed scales.
  contracts.replaced("input_dtype", "half-precision rows are refused", "input",
                     HostTensor::make(DType::kF16, {3, 4, 1024}));
  contracts.replaced("input_rank", "rows belong to experts", "input", HostTensor::make(DType::kBF16, {12, 1024}));
  contracts.replaced("input_strided", "rows must be contiguous", "input",
                     HostTensor::strided(DType::kBF16, {3, 4, 1024}, {8192, 2048, 1}));
  contracts.replaced("output_dtype", "codes are E4M3", "output", HostTensor::make(DType::kE5M2, {3, 4, 512}));
  contracts.replaced("output_dim", "outputs are half as wide as inputs", "output",
                     HostTensor::make(DType::kE4M3, {3, 4, 256}));
  contracts.replaced("scale_dtype", "transposed scales are packed into 32-bit words", "output_scale",
                     HostTensor::make(DType::kF32, {3, 1, 4}));
  contracts.replaced("scale_shape", "one word per token and four groups", "output_scale",
                     HostTensor::make(DType::kI32, {3, 1, 5}));
  contracts.replaced("counts_dtype", "64-bit counts are refused, not read as pairs", "masked_m",
                     HostTensor::make(DType::kI64, {3}));
  contracts.replaced("counts_size", "one count per expert", "masked_m", HostTensor::make(DType::kI32, {4}));
  const auto resize = [](Call& call, std::int64_t experts, std::int64_t dim) {
    const bool transposed = std::get<bool>(call.arg("transposed").value);
    call.arg("input").tensor() = HostTensor::make(DType::kBF16, {experts, 4, 2 * dim});
    call.arg("output").tensor() = HostTensor::make(DType::kE4M3, {experts, 4, dim});
    call.arg("output_scale").tensor() = transposed ? HostTensor::make(DType::kI32, {experts, dim / 512, 4})
                                                   : HostTensor::make(DType::kF32, {experts, 4, dim / 128});
    call.arg("masked_m").tensor() = HostTensor::make(DType::kI32, {experts});
    for (Arg& arg : call.args) arg.footprint.clear();
  };
  contracts.refused("dim_384", "384 outputs are no whole number of warps", "output", [resize](Call& call) {
    call.arg("transposed").value = false;
    resize(call, 3, 384);
  });
  contracts.refused("dim_256_transposed", "two groups do not fill a word of four", "output",
                    [resize](Call& call) { resize(call, 3, 256); });
  contracts.refused("experts_257", "more than 256 experts are refused", "masked_m",
                    [resize](Call& call) { resize(call, 257, 4096); });
  contracts.refused("experts_65", "512 outputs serve at most 64 experts", "masked_m",
                    [resize](Call& call) { resize(call, 65, 512); });
  contracts.refused("transposed_floats", "the transposed layout holds exponent bytes only", "transposed",
                    [](Call& call) { call.compile.set("ue8m0", "0"); });
  contracts.misplaced("counts_on_host", "counts in host memory are refused", "masked_m", Place::kHost);
  contracts.edge("no_budget", "topk = 0: nothing to do, or a clean refusal", [](Call& call) {
    call.arg("topk").value = std::int64_t{0};
    set_masked_footprints(call);
  });
  contracts.edge("no_experts", "no experts: nothing to do, or a clean refusal", [resize](Call& call) {
    resize(call, 0, 512);
    set_masked_footprints(call);
  });
  const auto with_count = [&](const char* name, const char* meaning, std::int32_t count) {
    contracts.edge(name, meaning, [count](Call& call) {
      // The other experts have no rows, so that a write to theirs shows.
      call.arg("masked_m").tensor() = HostTensor::of<std::int32_t>(DType::kI32, {0, count, 0});
      set_masked_footprints(call);
    });
  };
  with_count("negative_count", "a negative count is no rows, or a clean refusal", -1);
  with_count("count_past_the_rows", "a count beyond the rows is cut, or a clean refusal: never the next expert's rows",
             5);
  return list;
}

DSV4_REGISTER_OP(SiluAndMulMaskedPostQuant);

}  // namespace
}  // namespace dsv4
