/// dsv4_kernel_bench times a kernel set, alone or side by side with another one, at the shapes that production uses.
/// Each op's declaration lists these shapes, and the inputs are made as in the op's test cases.
///
///     dsv4_kernel_bench --set build/sets/cuda --against build/sets/sglang-0.5.13 [--case TEXT] [--json FILE]
/// Both sides run in this process, on one stream and on the same inputs, and their samples alternate. Consecutive
/// calls use different copies of the inputs. There are so many copies that a call does not find its inputs in the L2
/// cache. If possible, the calls run in a CUDA graph, and the times are device times without host code. The column
/// `clock` says how each time was measured. GB/s is computed from the least memory traffic that the op needs; the
/// traffic of a kernel may be larger. The exit status is 0 if everything was timed, and 2 if the command or the
/// environment is wrong.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/bench_cases.h"
#include "bench/bench_device.h"
#include "bench/bench_set.h"
#include "harness/core/error.h"

namespace dsv4::bench {
namespace {

struct Options {
  std::string set = "build/sets/cuda";
  std::string against;
  std::string filter;
  std::string json;
  int samples = 30;
};

/// Makes so many copies of a case's arguments that a call does not find its inputs in the cache.
std::vector<std::unique_ptr<DeviceArguments>> make_copies(const BenchCall& made, double cache_bytes) {
  const double wanted = std::min(3 * cache_bytes / made.bytes, 16.0);
  std::vector<std::unique_ptr<DeviceArguments>> copies;
  std::size_t used = 0;
  do {
    copies.push_back(std::make_unique<DeviceArguments>(made.call));
    used += copies.back()->device_bytes();
    // A call may read only a few rows of a large table, but the whole table is copied. So the copies are limited to
    // 4 GiB.
  } while (static_cast<double>(copies.size()) < wanted && used < (std::size_t{4} << 30));
  return copies;
}

std::string machine(const Device& device) {
  int driver = 0, runtime = 0;
  check_cuda(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const cudaDeviceProp& p = device.properties();
  return fmt::format("{}, sm_{}{}, {} multiprocessors, {} MiB L2; driver for CUDA {}.{}, runtime {}.{}", p.name,
                     p.major, p.minor, p.multiProcessorCount, p.l2CacheSize >> 20, driver / 1000, driver % 1000 / 10,
                     runtime / 1000, runtime % 1000 / 10);
}

nlohmann::json to_json(const Timing& t) {
  return {{"median_us", t.median_us}, {"p10_us", t.low_us}, {"p90_us", t.high_us}};
}

int run(const Options& options) {
  Device device;
  std::vector<KernelSet> sets;
  sets.emplace_back(options.set);
  if (!options.against.empty()) sets.emplace_back(options.against);

  const std::string about = machine(device);
  fmt::print("{}\n", about);
  for (const KernelSet& set : sets) fmt::print("set {}: {}\n", set.name(), nlohmann::json(set.provenance()).dump());
  const std::vector<BenchCase> cases = all_cases();
  std::size_t width = 0;
  for (const BenchCase& c : cases) width = std::max(width, c.point.size() + 1);
  fmt::print("\n{:<31}{:<{}}{:>7}{:>10}{:>8}", "op", "case", width, "clock", "us", "GB/s");
  if (sets.size() > 1) fmt::print("{:>12}{:>8}", "against us", "ratio");
  fmt::print("\n");

  nlohmann::json rows = nlohmann::json::array();
  for (const BenchCase& bench_case : cases) {
    const std::string title = bench_case.title();
    if (title.find(options.filter) == std::string::npos) continue;
    const std::string& op = bench_case.op->info().name;
    const BenchCall made = make_call(bench_case);
    std::vector<tvm::ffi::Function> sides;
    std::string missing;
    for (KernelSet& set : sets) {
      if (auto function = set.find(*bench_case.op, made.call)) {
        sides.push_back(*function);
      } else {
        missing = set.name();
      }
    }
    std::map<std::string, std::string> params;
    for (const auto& [name, value] : made.call.compile.pairs()) params[name] = value;
    nlohmann::json row{{"op", op}, {"case", bench_case.point}, {"params", params}, {"bytes", made.bytes}};
    const std::string heading = fmt::format("{:<31}{:<{}}", op, bench_case.point, width);
    if (!missing.empty()) {
      fmt::print("{}not in {}\n", heading, missing);
      row["skipped"] = "not in " + missing;
      rows.push_back(row);
      continue;
    }
    Clock clock = made.clock;
    std::vector<Timing> timings;
    try {
      const auto copies = make_copies(made, device.properties().l2CacheSize);
      const int per_copy = static_cast<int>((20 + copies.size() - 1) / copies.size());
      timings = device.time(sides, copies, per_copy * static_cast<int>(copies.size()), options.samples, clock);
    } catch (const tvm::ffi::Error& e) {
      throw Error(fmt::format("{}: the call was refused: {}", title, std::string(e.message())));
    } catch (const Error& e) {
      throw Error(fmt::format("{}: {}", title, e.what()));
    }
    const double us = timings[0].median_us;
    fmt::print("{}{:>7}{:>10.2f}{:>8.0f}", heading, name_of(clock), us, made.bytes / us / 1e3);
    row["clock"] = name_of(clock);
    row["set"] = to_json(timings[0]);
    if (timings.size() > 1) {
      fmt::print("{:>12.2f}{:>8.2f}", timings[1].median_us, timings[1].median_us / us);
      row["against"] = to_json(timings[1]);
      row["ratio"] = timings[1].median_us / us;
    }
    fmt::print("\n");
    std::fflush(stdout);
    rows.push_back(row);
  }
  if (rows.empty()) throw Error(fmt::format("no case contains '{}'", options.filter));

  if (!options.json.empty()) {
    nlohmann::json document{
        {"machine", about}, {"cases", rows}, {"set", {{"name", sets[0].name()}, {"provenance", sets[0].provenance()}}}};
    if (sets.size() > 1) document["against"] = {{"name", sets[1].name()}, {"provenance", sets[1].provenance()}};
    std::ofstream file(options.json);
    file << document.dump(1) << "\n";
    if (!file.flush()) throw Error(fmt::format("{}: cannot be written", options.json));
  }
  return 0;
}

}  // namespace
}  // namespace dsv4::bench

int main(int argc, char** argv) {
  dsv4::bench::Options options;
  CLI::App app("Times a kernel set, alone or against another one, at the shapes that production uses.");
  app.add_option("--set", options.set, "set to time, by its folder or its name")->capture_default_str();
  app.add_option("--against", options.against, "second set, timed side by side");
  app.add_option("--case", options.filter, "only cases whose op and point contain this text");
  app.add_option("--json", options.json, "write the results to this file");
  app.add_option("--samples", options.samples, "samples a side; the median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return dsv4::bench::run(options);
  } catch (const std::exception& e) {
    fmt::print(stderr, "dsv4_kernel_bench: {}\n", e.what());
    return 2;
  }
}
