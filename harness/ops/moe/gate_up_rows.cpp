#include "harness/ops/moe/gate_up_rows.h"

#include <cmath>

#include "harness/generate/gate_up_fills.h"
#include "harness/op/define.h"

namespace dsv4 {

double limit_of(const Params& p) { return p.is("limit", "none") ? 0.0 : std::stod(p.text("limit")); }

Params quantiser_variant(const Params& p) {
  Params variant = Params()
                       .set("group", kScaleGroup)
                       .set("ue8m0", p.text("ue8m0"))
                       .set("swizzle", p.text("swizzle"))
                       .set("clamp", p.is("limit", "none") ? "0" : "1");
  if (p.has("form")) variant.set("form", p.text("form"));
  return variant;
}

std::optional<std::string> reject_quantiser(const Params& p) {
  const std::int64_t dim = p.integer("dim");
  if (dim % 256 != 0) return "dim must be a multiple of 256, because a warp handles 256 outputs";
  if (p.flag("transposed") && !p.flag("ue8m0")) return "the transposed layout holds exponent bytes: ue8m0 must be 1";
  if (p.flag("transposed") && dim % 512 != 0)
    return "the transposed layout packs 4 groups: dim must be a multiple of 512";
  return std::nullopt;
}

std::vector<std::string> covered_gate_up_fills() {
  std::vector<std::string> names = gate_up_fills(0, kScaleGroup).names();
  std::erase(names, "near_edges");
  return names;
}

void fill_gate_up_rows(HostTensor& input, const Params& p, bool swizzle, std::uint64_t seed) {
  const std::int64_t dim = input.shape.back() / 2;
  const Fills fills = gate_up_fills(static_cast<float>(limit_of(p)), kScaleGroup);
  Random random(seed, "input");
  HostTensor pairs = HostTensor::make(kBF16, {dim, 2});
  auto* row = input.data<std::uint16_t>();
  for (const auto* const end = row + input.numel(); row != end; row += 2 * dim) {
    fills.apply(p.text("fill"), random, Elements(pairs));
    for (std::int64_t j = 0; j < dim; ++j) {
      const std::int64_t gate = swizzle ? 16 * (j / 8) + j % 8 : j;
      row[gate] = pairs.at<std::uint16_t>(j, 0);
      row[gate + (swizzle ? 8 : dim)] = pairs.at<std::uint16_t>(j, 1);
    }
  }
}

Scenario transposed_relation(const Op& op, const std::string& point) {
  return call_relation(
      "transposed",
      "the scales of the float layout are the powers of two that the bytes of the transposed layout stand for",
      op.at({point}), [&op](Case& c, Call& call, Observation& want) {
        c.params.set("transposed", "0");
        call = op.make(c);
        HostTensor& bytes = want.outputs.back().value;
        HostTensor floats = HostTensor::make(kF32, bytes.shape);
        for (std::int64_t i = 0; i < bytes.numel(); ++i) {
          // Rows that are not processed hold zeros on both sides.
          const int b = *bytes.element(i);
          set_float(floats, i, b == 0 ? 0.0 : std::ldexp(1.0, b - 127));
        }
        bytes = floats;
      });
}

Scenario swizzle_relation() {
  return params_relation("swizzle", "the same pairs in the other column order give the same bits", kFirstSmokePoint,
                         [](Params& p) { p.set("swizzle", p.flag("swizzle") ? "0" : "1"); });
}

Scenario idle_clamp_relation() {
  return relation("idle_clamp", "a limit that no value reaches gives the same bits as no limit", kFirstSmokePoint,
                  [](ScenarioContext& x) {
                    Case with = x.c, without = x.c;
                    with.params.set("limit", "1e30");
                    without.params.set("limit", "none");
                    x.expect_agree("no limit", x.observed(without, "no limit", x.op.make(without)),
                                   x.observed(with, "limit 1e30", x.op.make(with)));
                  });
}

}  // namespace dsv4
