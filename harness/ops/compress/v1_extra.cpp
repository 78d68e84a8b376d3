#include "harness/ops/compress/v1_extra.h"

#include "harness/op/define.h"

namespace dsv4 {
namespace {

void try_any_extra(ScenarioContext& x) {
  const Call good = x.op.make(x.c);
  const Observation usual = x.observed("valid call", good);
  const auto try_extra = [&](const std::string& what, Value extra) {
    Call call = good;
    call.arg("extra").value = std::move(extra);
    x.expect_agree(what, x.observed(what, call), usual);
  };
  try_extra("no extra", None{});
  try_extra("extra of another shape", HostTensor::make(kI32, {2, 3}));
  for (const std::int64_t number : {0, 1, 1 << 30}) {
    try_extra(fmt::format("extra {}", number), numbers(std::vector<std::int64_t>(9, number), kI32));
  }
}

}  // namespace

std::map<std::string, std::string> without_extra(std::map<std::string, std::string> without) {
  for (const char* what : {"dtype", "rank", "on_host"})
    without.emplace(fmt::format("contract:extra_{}", what), "the function does not use the argument");
  return without;
}

Scenario any_extra(const Op& op) {
  return {Scenario::Kind::kContract, "extra_outside", "no value of 'extra' makes a difference", op.at({"extra=unused"}),
          try_any_extra};
}

}  // namespace dsv4
