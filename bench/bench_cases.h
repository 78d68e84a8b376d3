/// What is timed: each op at the points that its declaration names for the benchmark (OpInfo::bench).
#pragma once

#include <string>
#include <vector>

#include "bench/bench_device.h"
#include "harness/op/op.h"

namespace dsv4::bench {

struct BenchCase {
  const Op* op;
  std::string point;  ///< as the op's declaration writes it

  /// "topk_v1 batch=64 len=131072".
  [[nodiscard]] std::string title() const { return op->info().name + " " + point; }
};

/// What a case is timed with.
struct BenchCall {
  Call call;
  double bytes;  ///< least traffic that the op can do with: every byte it must read or write, once
  Clock clock;   ///< best clock that suits the call
};

/// Every op's cases, by the names of the ops.
std::vector<BenchCase> all_cases();

/// Makes the call of a case: its inputs are those of the op's case of that point, with seed 1.
BenchCall make_call(const BenchCase& bench_case);

}  // namespace dsv4::bench
