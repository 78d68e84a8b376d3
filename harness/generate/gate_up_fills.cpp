#include "harness/generate/gate_up_fills.h"

#include <cmath>
#include <limits>

#include "harness/core/bits.h"

namespace dsv4 {
namespace {

/// The gate and the up of one output, which is silu(gate) * up.
struct GateUp {
  float gate;
  float up;
};

/// A fill that draws one pair for each output. `next` gets the random stream and the index of the output.
Fill pairs(std::string name, std::function<GateUp(Random&, std::int64_t)> next) {
  return {std::move(name), [next = std::move(next)](Random& r, Elements x) {
            for (std::int64_t i = 0; i < x.size(); i += 2) {
              const GateUp pair = next(r, i / 2);
              x.set(i, pair.gate);
              x.set(i + 1, pair.up);
            }
          }};
}

float bf16_neighbour(float x, std::int64_t steps) {
  return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(x) + steps));
}

float any_sign(Random& r, float x) { return r.chance(2) ? x : -x; }

/// A number at the limit, one bfloat16 step beside it or four times as large, or a normal number multiplied by
/// the limit.
float around_limit(Random& r, float limit) {
  const float near = std::fabs(limit) < 0x1p-20f ? 1.0f : limit;
  switch (r.below(4)) {
    case 0:
      return any_sign(r, 4.0f * near);
    case 1:
      return any_sign(r, bf16_neighbour(near, r.between(-1, 1)));
    case 2:
      return any_sign(r, near);
    default:
      return near * r.gauss();
  }
}

/// One of 200 pairs has the gate `special` or the up `special`.
GateUp with_special(Random& r, float special) {
  if (!r.chance(200)) return {r.gauss(), r.gauss()};
  return r.chance(2) ? GateUp{special, r.gauss()} : GateUp{r.gauss(), special};
}

}  // namespace

Fills gate_up_fills(float limit, std::int64_t group) {
  using Limits = std::numeric_limits<float>;
  return {
      pairs("gauss",
            [](Random& r, std::int64_t) {
              return GateUp{4.0f * r.gauss(), 2.0f * r.gauss()};
            }),
      // For g >= 17, silu(g) has exactly the bits of g, so these products are integers.
      pairs("integers",
            [](Random& r, std::int64_t) {
              return GateUp{r.chance(8) ? 0.0f : static_cast<float>(r.between(17, 40)),
                            static_cast<float>(r.between(-8, 8))};
            }),
      // One product of each group is 448 times a power of two, or the next number above or below. The other products
      // are smaller.
      pairs("scale_edges",
            [group](Random& r, std::int64_t i) {
              if (i % group != 17) return GateUp{r.gauss(), r.gauss() * 0x1p-40f};
              const std::int64_t steps = r.between(-1, 1);
              const float power = std::ldexp(7.0f, static_cast<int>(r.between(-30, 60)));
              return GateUp{64.0f, bf16_neighbour(power, steps)};
            }),
      // One product of each group is 448 times a power of two, plus or minus 7e-5 of it. That is less than half a
      // bfloat16 step, so a maximum that is rounded to bfloat16 is on the other side of the edge. All gates
      // are above 17.
      pairs("near_edges",
            [group](Random& r, std::int64_t i) {
              if (i % group != 17) return GateUp{r.gauss(), r.gauss() * 0x1p-40f};
              // 40.5 * 177 and 44.25 * 162 are 448 * 16 + 0.5. 60.75 * 236 and 59 * 243 are 448 * 32 + 1. 58.75 * 244
              // is 448 * 32 - 1.
              constexpr GateUp kPairs[] = {{40.5f, 177}, {44.25f, 162}, {60.75f, 236}, {59, 243}, {58.75f, 244}};
              const GateUp pair = kPairs[r.below(5)];
              return GateUp{pair.gate, any_sign(r, std::ldexp(pair.up, static_cast<int>(r.between(-30, 60))))};
            }),
      pairs("at_limit",
            [limit](Random& r, std::int64_t) {
              return GateUp{around_limit(r, limit), around_limit(r, limit)};
            }),
      pairs("negative",
            [](Random& r, std::int64_t) {
              return GateUp{-100.0f * r.unit(), r.wide(-4, 80)};
            }),
      fills::wide(-130, -16, "tiny"),
      pairs("zeros",
            [](Random& r, std::int64_t) {
              return r.chance(2) ? GateUp{any_sign(r, 0.0f), r.gauss()} : GateUp{r.gauss(), any_sign(r, 0.0f)};
            }),
      pairs("wide",
            [](Random& r, std::int64_t) {
              return GateUp{r.wide(-20, 6), r.wide(-60, 100)};
            }),
      fills::each("bits", [](Random& r) { return float_from_bf16(static_cast<std::uint16_t>(r.u32())); }),
      pairs("nan", [](Random& r, std::int64_t) { return with_special(r, Limits::quiet_NaN()); }),
      pairs("inf", [](Random& r, std::int64_t) { return with_special(r, any_sign(r, Limits::infinity())); })};
}

}  // namespace dsv4
