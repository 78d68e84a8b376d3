#include "harness/ops/moe/logit_fills.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

const std::vector<std::string>& logit_fills() {
  static const std::vector<std::string> kFills{"gauss",    "integers",  "near_zero", "positive",
                                               "negative", "saturated", "subnormal", "underflow",
                                               "mixed",    "minus_inf", "one_inf",   "one_nan"};
  return kFills;
}

float logit(const std::string& fill, Random& r, std::int64_t j) {
  const auto uniform = [&](float low, float high) { return low + (high - low) * r.unit(); };
  if (fill == "gauss") return 3.0f * r.gauss();
  if (fill == "integers") return static_cast<float>(r.between(-8, 8));
  if (fill == "near_zero") return r.wide(-40, -20);
  if (fill == "positive") return uniform(0.0f, 200.0f);
  if (fill == "negative") return uniform(-80.0f, -10.0f);
  if (fill == "saturated") return r.chance(2) ? std::abs(r.wide(6, 120)) : uniform(88.0f, 104.0f);
  if (fill == "subnormal") return uniform(-102.0f, -87.0f);
  if (fill == "underflow") return r.chance(2) ? -200.0f : uniform(-1e6f, -105.0f);
  if (fill == "mixed") {
    static constexpr float kEdges[] = {0.0f,  -0.0f,  1e-8f,  -1e-8f, 20.0f, -20.0f,
                                       88.0f, -88.0f, 104.0f, -16.7f, 88.7f, -200.0f};
    return kEdges[static_cast<std::size_t>(r.below(std::ssize(kEdges)))];
  }
  if (fill == "minus_inf") return r.chance(2) ? -kInf : r.gauss();
  if (fill == "one_inf") return j == 0 ? kInf : r.gauss();
  if (fill == "one_nan") return j == 0 ? kNan : r.gauss();
  throw Error(fmt::format("unknown logit fill '{}'", fill));
}

}  // namespace dsv4
