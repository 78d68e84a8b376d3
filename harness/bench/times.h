/// What the benchmark measured, as a text for people and as JSON.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "harness/bench/shapes.h"
#include "harness/bench/timer.h"

namespace dsv4::bench {

/// One set at one shape.
struct SetTimes {
  std::string set;
  std::string absent;  ///< why the set was not timed; "" if it was
  Timed timed;
};

/// All sets at one shape, in the order of the command line.
struct ShapeTimes {
  std::string op;
  std::string point;
  Cost cost;
  Clock clock = Clock::kGraph;
  std::vector<SetTimes> sets;
};

/// Where the times come from.
struct BenchFacts {
  std::map<std::string, std::string> machine;  ///< Timer::facts() and gpu_facts()
  double copy_bytes_per_second = 0;
  std::vector<std::pair<std::string, std::map<std::string, std::string>>> sets;  ///< name and provenance
};

/// Lines on the machine and the sets.
std::string heading(const BenchFacts& facts);

/// Lines on one shape: for each set the median of cold calls with the 10th and 90th percentile, the median of warm
/// calls, bytes and operations a second of cold calls, the share of the copy bandwidth, and the time divided by that of
/// the first set.
std::string lines_on(const ShapeTimes& times, const BenchFacts& facts);

/// The last lines: for each further set the geometric mean of its times divided by those of the first set, and the
/// lowest quotient; how many shapes that a copy of their bytes would take more than 10 us reach 80 % of the copy
/// bandwidth; and what was not timed.
std::string summary(const std::vector<ShapeTimes>& all, const BenchFacts& facts);

nlohmann::json to_json(const std::vector<ShapeTimes>& all, const BenchFacts& facts);

}  // namespace dsv4::bench
