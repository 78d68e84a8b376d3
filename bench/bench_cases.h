/// The cases that the benchmark times: each op at the points that its declaration lists in OpInfo::bench.
#pragma once

#include <string>
#include <vector>

#include "bench/bench_device.h"
#include "harness/op/op.h"

namespace dsv4::bench {

struct BenchCase {
  const Op* op;
  std::string point;  ///< the text in the op's declaration

  /// The op and the point, for instance "topk_v1 batch=64 len=131072".
  [[nodiscard]] std::string title() const { return op->info().name + " " + point; }
};

/// The call of a case, and how it is timed.
struct BenchCall {
  Call call;
  double bytes;  ///< least memory traffic of the op: each byte that it must read or write counts once
  Clock clock;   ///< the most exact clock that can time the call
};

/// The cases of all ops, in the order of the ops' names.
std::vector<BenchCase> all_cases();

/// Makes the call of a benchmark case. The inputs are the same as in the op's test case at this point with seed 1.
BenchCall make_call(const BenchCase& bench_case);

}  // namespace dsv4::bench
