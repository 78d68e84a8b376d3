/// The cases that are timed: each op at the points that its declaration names for the benchmark (OpInfo::bench).
#pragma once

#include <string>
#include <vector>

#include "bench/bench_device.h"
#include "harness/op/op.h"

namespace dsv4::bench {

struct BenchCase {
  const Op* op;
  std::string point;  ///< as the op's declaration writes it

  /// For instance "topk_v1 batch=64 len=131072".
  [[nodiscard]] std::string title() const { return op->info().name + " " + point; }
};

/// The call of a case, and how it is timed.
struct BenchCall {
  Call call;
  double bytes;  ///< least traffic that the op needs: every byte that it must read or write, once
  Clock clock;   ///< best clock that suits the call
};

/// The cases of all ops, in the order of the ops' names.
std::vector<BenchCase> all_cases();

/// Makes the call of a case. Its inputs are those of the op's case at this point, with seed 1.
BenchCall make_call(const BenchCase& bench_case);

}  // namespace dsv4::bench
