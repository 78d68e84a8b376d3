/// Distributions of router logits.
#pragma once

#include <cmath>
#include <limits>

#include "harness/generate/fills.h"

namespace dsv4 {

/// Fills of the logits of a token's experts. For a logit between about -103.98 and -102.5, expf may or may not
/// underflow. If a token has only such logits, any weights are right. So no fill uses this range.
inline const Fills& router_fills() {
  using fills::each;
  using Limits = std::numeric_limits<float>;
  const auto uniform = [](Random& r, float low, float high) { return low + (high - low) * r.unit(); };
  const auto with_last = [](std::string name, float special) {
    return Fill{std::move(name), [special](Random& r, Elements x) {
                  for (std::int64_t i = 0; i + 1 < x.size(); ++i) x.set(i, r.gauss());
                  x.set(x.size() - 1, special);
                }};
  };
  static constexpr float kEdges[] = {0.0f,  -0.0f,  1e-8f,  -1e-8f, 20.0f, -20.0f,
                                     88.0f, -88.0f, 104.0f, -16.7f, 88.7f, -200.0f};
  static const Fills kFills{
      each("gauss", [](Random& r) { return 3.0f * r.gauss(); }),
      fills::integers(-8, 8),
      fills::wide(-40, -20, "near_zero"),
      fills::uniform(0, 200, "positive"),
      fills::uniform(-80, -10, "negative"),
      each("saturated", [=](Random& r) { return r.chance(2) ? std::abs(r.wide(6, 120)) : uniform(r, 88, 104); }),
      fills::uniform(-102, -87, "subnormal"),
      each("underflow", [=](Random& r) { return r.chance(2) ? -200.0f : uniform(r, -1e6f, -105.0f); }),
      each("mixed", [](Random& r) { return kEdges[static_cast<std::size_t>(r.below(std::ssize(kEdges)))]; }),
      each("minus_inf", [](Random& r) { return r.chance(2) ? -Limits::infinity() : r.gauss(); }),
      with_last("one_inf", Limits::infinity()),
      with_last("one_nan", Limits::quiet_NaN())};
  return kFills;
}

}  // namespace dsv4
