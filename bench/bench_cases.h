/// What is timed: the ops at the shapes that a serving engine meets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/bench_device.h"
#include "bench/bench_set.h"

namespace dsv4::bench {

struct BenchCase {
  std::string op;
  std::string abi;
  Params params;      ///< compile-time parameters
  std::string shape;  ///< for people
  double bytes;       ///< least traffic that the op can do with: every byte it must read or write, once
  Clock clock;        ///< best clock that suits the op
  std::function<Arguments()> make;
};

std::vector<BenchCase> all_cases();

}  // namespace dsv4::bench
