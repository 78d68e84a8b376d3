#include "harness/ops/moe/gate_up_fills.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

float bf16_neighbour(float x, std::int64_t steps) {
  return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(x) + steps));
}

}  // namespace

const std::vector<std::string>& gate_up_fills() {
  static const std::vector<std::string> kFills{"gauss", "integers", "scale_edges", "at_limit", "negative", "tiny",
                                               "zeros", "wide",     "bits",        "nan",      "inf"};
  return kFills;
}

GateUp gate_up(std::string_view fill, Random& r, float limit, bool leader) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto sign = [&](float x) { return r.chance(2) ? x : -x; };
  if (fill == "gauss") return {4.0f * r.gauss(), 2.0f * r.gauss()};
  // silu(g) = g to the bit from g = 17 on, so these products are integers.
  if (fill == "integers") {
    return {r.chance(8) ? 0.0f : static_cast<float>(r.between(17, 40)), static_cast<float>(r.between(-8, 8))};
  }
  if (fill == "scale_edges") {
    // One product is 448 times a power of two, exactly, or the next number above or below; the others are smaller.
    if (leader)
      return {64.0f, bf16_neighbour(std::ldexp(7.0f, static_cast<int>(r.between(-30, 60))), r.between(-1, 1))};
    return {r.gauss(), r.gauss() * 0x1p-40f};
  }
  if (fill == "at_limit") {
    const float near = std::fabs(limit) < 0x1p-20f ? 1.0f : limit;
    const auto around = [&] {
      switch (r.below(4)) {
        case 0:
          return sign(4.0f * near);
        case 1:
          return sign(bf16_neighbour(near, r.between(-1, 1)));
        case 2:
          return sign(near);
        default:
          return near * r.gauss();
      }
    };
    return {around(), around()};
  }
  if (fill == "negative") return {-100.0f * r.unit(), r.wide(-4, 80)};
  if (fill == "tiny") return {r.wide(-130, -16), r.wide(-130, -16)};
  if (fill == "zeros") return r.chance(2) ? GateUp{sign(0.0f), r.gauss()} : GateUp{r.gauss(), sign(0.0f)};
  if (fill == "wide") return {r.wide(-20, 6), r.wide(-60, 100)};
  if (fill == "bits") {
    return {float_from_bf16(static_cast<std::uint16_t>(r.u32())), float_from_bf16(static_cast<std::uint16_t>(r.u32()))};
  }
  const float special = fill == "nan" ? std::numeric_limits<float>::quiet_NaN() : sign(kInf);
  if (fill != "nan" && fill != "inf") throw Error(fmt::format("unknown fill '{}'", fill));
  if (!r.chance(200)) return {r.gauss(), r.gauss()};
  return r.chance(2) ? GateUp{special, r.gauss()} : GateUp{r.gauss(), special};
}

}  // namespace dsv4
