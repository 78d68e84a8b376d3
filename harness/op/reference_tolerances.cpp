#include "harness/op/reference_tolerances.h"

#include <fmt/format.h>

#include <utility>

#include "harness/core/error.h"

namespace dsv4 {

CallResult auxiliary(const Call& call, const std::string& aux, Caller& reference, std::vector<Arg> more) {
  Call asked = call;
  asked.aux = aux;
  for (Arg& arg : more) asked.args.push_back(std::move(arg));
  CallResult result = reference.call(asked);
  if (result.refusal)
    throw Error(fmt::format("op '{}': the reference refused the call of its auxiliary function '{}': {}", call.op, aux,
                            *result.refusal));
  return result;
}

Tolerances intervals(const Call& call, Caller& reference, const std::vector<std::string>& names,
                     const std::string& reason, const std::string& aux) {
  std::vector<Arg> ends;
  for (const std::string& name : names) {
    for (const std::string end : {"_lo", "_hi"}) {
      const Arg& arg = call.arg(name);
      ends.push_back(arg.is_tensor() ? out(name + end, HostTensor::make(arg.tensor().dtype, arg.tensor().shape))
                                     : absent(name + end));
    }
  }
  const CallResult result = auxiliary(call, aux, reference, std::move(ends));
  Tolerances tolerances;
  for (const std::string& name : names) {
    if (call.arg(name).is_tensor()) {
      tolerances[name] = Tolerance::between(result.tensor(name + "_lo"), result.tensor(name + "_hi"), reason);
    }
  }
  return tolerances;
}

Tolerance bounded(const Call& call, Caller& reference, const std::string& name, std::string reason) {
  return Tolerance::within(auxiliary(call, "bound", reference).tensor(name), std::move(reason));
}

}  // namespace dsv4
