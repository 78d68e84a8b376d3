#include "bench/bench_cases.h"

#include <algorithm>

namespace dsv4::bench {
namespace {

/// True for an input in host memory. The function reads it on the host, and a CUDA graph does not record this read.
bool is_read_on_host(const Arg& arg) {
  return arg.is_tensor() && arg.place == Place::kHost && (arg.role == Role::kIn || arg.role == Role::kInOut);
}

}  // namespace

std::vector<BenchCase> all_cases() {
  std::vector<BenchCase> cases;
  for (const Op* op : all_ops()) {
    for (const std::string& point : op->info().bench) cases.push_back({op, point});
  }
  return cases;
}

BenchCall make_call(const BenchCase& bench_case) {
  const Op& op = *bench_case.op;
  const Case c{op.info().name, "", op.info().space.at(bench_case.point), 1};
  Call call = op.make(c);
  const double bytes = op.cost(c, call).bytes;
  const Clock clock = std::ranges::any_of(call.args, is_read_on_host) ? Clock::kHost : Clock::kGraph;
  return {std::move(call), bytes, clock};
}

}  // namespace dsv4::bench
