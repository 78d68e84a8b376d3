#include "harness/ops/compress/v1_extra.h"

#include "harness/op/define.h"
#include "harness/op/indices.h"

namespace dsv4 {
namespace {

void try_any_extra(ScenarioContext& x) {
  const Call good = x.op.make(x.c);
  const auto usual = observed_once(x, good);
  const Part all = [](const Observation& o) { return o; };
  for (const std::int64_t number : {0, 1, 1 << 30}) {
    Call call = good;
    call.arg("extra").tensor() = numbers(std::vector<std::int64_t>(9, number), kI32);
    try_outside(x, fmt::format("extra of {}", number), call, good, usual, all, all);
  }
}

void run_unused_extra(ScenarioContext& x) {
  const Call given = x.op.make(x.c);
  const Observation usual = x.observed("extra", given);
  const auto try_extra = [&](const std::string& what, Value extra) {
    Call call = given;
    call.arg("extra").value = std::move(extra);
    x.expect_agree(what, x.observed(what, call), usual);
  };
  try_extra("no extra", None{});
  try_extra("extra of another shape", HostTensor::make(kI32, {2, 3}));
}

}  // namespace

std::map<std::string, std::string> without_extra(std::map<std::string, std::string> without) {
  for (const char* what : {"dtype", "rank", "on_host"})
    without.emplace(fmt::format("contract:extra_{}", what), "the function does not use the argument");
  return without;
}

std::vector<Scenario> any_extra(const Op& op) {
  std::vector<Scenario> list{relation("extra_unused", "without extra, or with one of another shape, nothing changes",
                                      op.at({"extra=unused"}), run_unused_extra)};
  Contracts(list, op.at({"extra=unused"}))
      .add("extra_outside", "no number in 'extra' makes a difference", try_any_extra);
  return list;
}

}  // namespace dsv4
