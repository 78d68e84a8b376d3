#include "harness/call/output.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace dsv4 {

Tolerance Tolerance::exact(std::string reason) {
  Tolerance t;
  t.reason = std::move(reason);
  return t;
}

Tolerance Tolerance::exact_nan(std::string reason) {
  Tolerance t = exact(std::move(reason));
  t.kind = Kind::kExactNan;
  return t;
}

Tolerance Tolerance::within(HostTensor bound, std::string reason) {
  Tolerance t = exact(std::move(reason));
  t.kind = Kind::kBound;
  t.bound = std::move(bound);
  return t;
}

Tolerance Tolerance::between(HostTensor low, HostTensor high, std::string reason) {
  Tolerance t = exact(std::move(reason));
  t.kind = Kind::kInterval;
  t.low = std::move(low);
  t.high = std::move(high);
  return t;
}

const HostTensor& Observation::output(const std::string& name) const {
  for (const Output& o : outputs) {
    if (o.name == name) return o.value;
  }
  throw Error(fmt::format("no output is called '{}'", name));
}

}  // namespace dsv4
