#include "harness/bench/times.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/core/text.h"

namespace dsv4::bench {
namespace {

constexpr double kLongUs = 10;      // a shorter call is dominated by its launch
constexpr double kGoodShare = 0.8;  // of the copy bandwidth

bool was_timed(const SetTimes& s) { return s.absent.empty() && s.timed.refused.empty(); }

const std::string& reason_of(const SetTimes& s) { return s.absent.empty() ? s.timed.refused : s.absent; }

double share_of_copy(const ShapeTimes& times, const SetTimes& s, const BenchFacts& facts) {
  return times.cost.bytes / (s.timed.cold.median_us * 1e-6) / facts.copy_bytes_per_second;
}

double copy_us(const ShapeTimes& times, const BenchFacts& facts) {
  return times.cost.bytes / facts.copy_bytes_per_second * 1e6;
}

/// The time of set number `i` divided by that of the first set; 0 if one of them was not timed.
double ratio(const ShapeTimes& times, std::size_t i) {
  const SetTimes &first = times.sets.front(), &other = times.sets[i];
  return was_timed(first) && was_timed(other) ? other.timed.cold.median_us / first.timed.cold.median_us : 0;
}

/// The lowest of some values, and where it is.
struct Lowest {
  std::size_t count = 0;
  double value = 0;
  std::string where;

  void add(double v, const std::string& at) {
    if (++count > 1 && v >= value) return;
    value = v;
    where = at;
  }
};

std::string title(const ShapeTimes& times) { return times.op + " " + times.point; }

nlohmann::json json_of(const Timing& t) {
  return {{"median_us", t.median_us}, {"p10_us", t.low_us}, {"p90_us", t.high_us}};
}

}  // namespace

std::string heading(const BenchFacts& facts) {
  const auto fact = [&](const char* name) {
    const auto found = facts.machine.find(name);
    return found == facts.machine.end() ? std::string("?") : found->second;
  };
  std::string text =
      fmt::format("{}, {}, {} multiprocessors, {} MiB L2, driver {}, CUDA runtime {}\n", fact("gpu"),
                  fact("capability"), fact("multiprocessors"), fact("l2_mib"), fact("driver"), fact("cuda_runtime"));
  text += fmt::format("a copy on the device reads and writes {:.0f} GB/s\n", facts.copy_bytes_per_second / 1e9);
  for (const auto& [name, provenance] : facts.sets) {
    std::string said;
    for (const auto& [key, value] : provenance) said += fmt::format("{}{} {}", said.empty() ? "" : ", ", key, value);
    text += fmt::format("set {}: {}\n", one_line(name), one_line(said));
  }
  return text;
}

std::string lines_on(const ShapeTimes& times, const BenchFacts& facts) {
  std::string text = fmt::format("\n{}\n  {:.3f} MB, {:.3f} MFLOP, clock {}\n", title(times), times.cost.bytes / 1e6,
                                 times.cost.flops / 1e6, name_of(times.clock));
  text += fmt::format("  {:<18}{:>9}{:>18}{:>9}{:>7}{:>8}{:>5}", "set", "us", "p10..p90", "warm us", "GB/s", "GFLOP/s",
                      "copy");
  if (times.sets.size() > 1) text += "     x";
  text += "\n";
  for (std::size_t i = 0; i < times.sets.size(); ++i) {
    const SetTimes& s = times.sets[i];
    if (!was_timed(s)) {
      text += fmt::format("  {:<18} not timed: {}\n", one_line(s.set), shortened(one_line(reason_of(s)), 200));
      continue;
    }
    const Timing& cold = s.timed.cold;
    text += fmt::format("  {:<18}{:>9.2f}{:>18}{:>9.2f}{:>7.0f}{:>8.0f}{:>4.0f}%", one_line(s.set), cold.median_us,
                        fmt::format("{:.2f}..{:.2f}", cold.low_us, cold.high_us), s.timed.warm.median_us,
                        times.cost.bytes / cold.median_us / 1e3, times.cost.flops / cold.median_us / 1e3,
                        100 * share_of_copy(times, s, facts));
    if (i > 0 && ratio(times, i) > 0) text += fmt::format("{:>6.2f}", ratio(times, i));
    text += "\n";
  }
  return text;
}

std::string summary(const std::vector<ShapeTimes>& all, const BenchFacts& facts) {
  std::string text = "\n";
  const std::size_t sets = facts.sets.size();
  for (std::size_t i = 1; i < sets; ++i) {
    double sum = 0;
    Lowest lowest;
    for (const ShapeTimes& times : all) {
      const double r = ratio(times, i);
      if (r == 0) continue;
      sum += std::log(r);
      lowest.add(r, title(times));
    }
    if (lowest.count == 0) continue;
    text += fmt::format("time of {} / time of {}: geometric mean {:.2f} over {} shapes, lowest {:.2f} ({})\n",
                        one_line(facts.sets[i].first), one_line(facts.sets[0].first),
                        std::exp(sum / static_cast<double>(lowest.count)), lowest.count, lowest.value, lowest.where);
  }
  for (std::size_t i = 0; i < sets; ++i) {
    std::size_t good = 0;
    Lowest lowest;
    for (const ShapeTimes& times : all) {
      const SetTimes& s = times.sets[i];
      if (!was_timed(s) || copy_us(times, facts) < kLongUs) continue;
      const double share = share_of_copy(times, s, facts);
      lowest.add(share, title(times));
      if (share >= kGoodShare) ++good;
    }
    if (lowest.count == 0) continue;
    text += fmt::format(
        "{}: {} of {} shapes whose bytes take over {:.0f} us at copy speed reach {:.0f} % of it, lowest {:.0f} % "
        "({})\n",
        one_line(facts.sets[i].first), good, lowest.count, kLongUs, 100 * kGoodShare, 100 * lowest.value, lowest.where);
  }
  std::size_t missing = 0;
  std::set<std::string> ops;
  for (const ShapeTimes& times : all) {
    for (const SetTimes& s : times.sets) {
      if (was_timed(s)) continue;
      ++missing;
      ops.insert(times.op);
    }
  }
  if (missing > 0) text += fmt::format("NOT TIMED: {} times of {}\n", missing, fmt::join(ops, ", "));
  return text;
}

nlohmann::json to_json(const std::vector<ShapeTimes>& all, const BenchFacts& facts) {
  nlohmann::json sets = nlohmann::json::array(), shapes = nlohmann::json::array();
  for (const auto& [name, provenance] : facts.sets) sets.push_back({{"name", name}, {"provenance", provenance}});
  for (const ShapeTimes& times : all) {
    nlohmann::json by_set = nlohmann::json::array();
    for (std::size_t i = 0; i < times.sets.size(); ++i) {
      const SetTimes& s = times.sets[i];
      nlohmann::json j{{"set", s.set}};
      if (was_timed(s)) {
        j["cold"] = json_of(s.timed.cold);
        j["warm"] = json_of(s.timed.warm);
        j["share_of_copy"] = share_of_copy(times, s, facts);
        if (i > 0 && ratio(times, i) > 0) j["ratio"] = ratio(times, i);
      } else {
        j["not_timed"] = reason_of(s);
      }
      by_set.push_back(std::move(j));
    }
    shapes.push_back({{"op", times.op},
                      {"shape", times.point},
                      {"bytes", times.cost.bytes},
                      {"flops", times.cost.flops},
                      {"clock", name_of(times.clock)},
                      {"sets", by_set}});
  }
  return {{"schema", 1},
          {"tool", {{"name", "dsv4diff"}, {"version", DSV4_VERSION}}},
          {"command", "bench"},
          {"machine", facts.machine},
          {"copy_bytes_per_second", facts.copy_bytes_per_second},
          {"sets", sets},
          {"shapes", shapes}};
}

}  // namespace dsv4::bench
