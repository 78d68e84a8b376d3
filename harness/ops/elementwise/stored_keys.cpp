#include "harness/ops/elementwise/stored_keys.h"

#include "harness/op/define.h"

namespace dsv4 {

const Fills& key_weight_fills() {
  static const Fills kFills{fills::each("ones", [](Random&) { return 1.0f; }),
                            fills::gauss(),
                            fills::scaled_integers(),
                            fills::e4m3_midpoints(),
                            fills::scale_edges(),
                            fills::tiny_groups(),
                            fills::zeros()};
  return kFills;
}

Observation stored_keys(const CacheGeometry& g, const HostTensor& cache, const HostTensor& slots) {
  Observation o = stored_rows(g, cache, slots);
  for (Output& output : o.outputs) {
    for (std::int64_t i = 0; output.name == "tail" && i < output.value.numel(); ++i) {
      const auto bits = output.value.get<std::uint16_t>(i);
      if ((bits & 0x7fff) > 0x7f80) output.value.set<std::uint16_t>(i, 0x7fff);
    }
  }
  return o;
}

KeyIntervals key_intervals(const Call& call, Caller& reference, const std::string& aux,
                           const std::function<Observation(const HostTensor&)>& observe) {
  const Tolerances ends = intervals(call, reference, {"kvcache"}, "", aux);
  return {observe(ends.at("kvcache").low), observe(ends.at("kvcache").high)};
}

Tolerances key_tolerances(const Call& call, const CallResult& got, Caller& reference,
                          const std::function<Observation(const HostTensor&)>& observe) {
  Call given = call;
  given.arg("kvcache") = in("kvcache", got.tensor("kvcache"));
  const KeyIntervals ends = key_intervals(given, reference, "interval", observe);
  Tolerances tolerances;
  for (const Output& output : ends.low.outputs) {
    tolerances[output.name] = Tolerance::between(
        output.value, ends.high.output(output.name),
        "the sum of the squares and rsqrtf, within their errors; either product of a*b + c*d may be fused");
  }
  return tolerances;
}

Scenario scaled_weight(const std::string& weight) {
  return call_relation(
      "scaled_weight",
      "if the weight is multiplied by 16, the codes stay the same and the scale exponents increase by 4",
      kFirstSmokePoint, [weight](Case&, Call& call, Observation& want) {
        HostTensor& w = call.arg(weight).tensor();
        for (std::int64_t d = 0; d < w.numel(); ++d) set_float(w, d, 16.0 * value_of(w.dtype, w.element(d)));
        for (Output& output : want.outputs) {
          HostTensor& t = output.value;
          for (std::int64_t i = 0; output.name == "scales" && i < t.numel(); ++i)
            t.set<std::uint8_t>(i, static_cast<std::uint8_t>(t.get<std::uint8_t>(i) + 4));
          for (std::int64_t i = 0; output.name == "tail" && i < t.numel(); ++i)
            set_float(t, i, 16.0 * value_of(t.dtype, t.element(i)));
        }
      });
}

}  // namespace dsv4
