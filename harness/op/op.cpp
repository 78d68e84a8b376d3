#include "harness/op/op.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace dsv4 {

std::string Scenario::label() const {
  const char* kinds[] = {"contract", "relation", "sequence"};
  return fmt::format("{}:{}", kinds[static_cast<int>(kind)], name);
}

Observation ScenarioContext::observed(const std::string& where, const Call& call, const CallOptions& options) {
  return observed(c, where, call, options);
}

Observation ScenarioContext::observed(const Case& changed, const std::string& where, const Call& call,
                                      const CallOptions& options) {
  return op.observe(changed, call, this->call(where, call, options));
}

Observation ScenarioContext::expected(const Call& call) { return expected(c, call); }

Observation ScenarioContext::expected(const Case& changed, const Call& call) {
  const CallResult result = reference.call(call);
  if (result.refusal) throw Error("the reference refused a valid call: " + *result.refusal);
  return op.observe(changed, call, result);
}

}  // namespace dsv4
