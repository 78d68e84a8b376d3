/// The plug-in libdsv4_bench.so: the timer of `dsv4diff bench`, implemented with the CUDA runtime.
#include <fmt/format.h>
#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstdio>

#include "bench/bench_device.h"
#include "harness/bench/timer.h"

namespace dsv4::bench {
namespace {

/// Makes so many copies of the arguments that a call does not find its inputs in the L2 cache.
std::vector<std::unique_ptr<DeviceArguments>> make_copies(const Call& call, double bytes, double cache_bytes) {
  const double wanted = std::min(3 * cache_bytes / bytes, 16.0);
  std::vector<std::unique_ptr<DeviceArguments>> copies;
  std::size_t used = 0;
  do {
    copies.push_back(std::make_unique<DeviceArguments>(call));
    used += copies.back()->device_bytes();
    // A call may read only a few rows of a large table, but the whole table is copied. So the copies are limited to
    // 4 GiB.
  } while (static_cast<double>(copies.size()) < wanted && used < (std::size_t{4} << 30));
  return copies;
}

class CudaTimer final : public Timer {
 public:
  [[nodiscard]] std::map<std::string, std::string> facts() const override {
    int driver = 0, runtime = 0;
    check_cuda(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    const cudaDeviceProp& p = device_.properties();
    const auto version = [](int v) { return fmt::format("{}.{}", v / 1000, v % 1000 / 10); };
    return {{"capability", fmt::format("sm_{}{}", p.major, p.minor)},
            {"multiprocessors", std::to_string(p.multiProcessorCount)},
            {"l2_mib", std::to_string(p.l2CacheSize >> 20)},
            {"cuda_driver", version(driver)},
            {"cuda_runtime", version(runtime)}};
  }

  double copy_bytes_per_second() override {
    constexpr std::size_t kBytes = std::size_t{512} << 20;
    constexpr int kSamples = 20;
    void *from = nullptr, *to = nullptr;
    check_cuda(cudaMalloc(&from, kBytes), "cudaMalloc");
    check_cuda(cudaMalloc(&to, kBytes), "cudaMalloc");
    check_cuda(cudaMemset(from, 1, kBytes), "cudaMemset");
    double least_us = 0;
    for (int i = 0; i < kSamples; ++i) {
      const double us = device_.sample_stream(
          [&] {
            check_cuda(cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice, device_.stream()),
                       "cudaMemcpyAsync");
          },
          1);
      if (i == 0 || us < least_us) least_us = us;
    }
    check_cuda(cudaFree(from), "cudaFree");
    check_cuda(cudaFree(to), "cudaFree");
    return 2.0 * kBytes / least_us * 1e6;
  }

  std::vector<Timed> time(const std::vector<tvm::ffi::Function>& functions, const Call& call, double bytes, int samples,
                          Clock& clock) override {
    std::vector<Timed> timed(functions.size());
    if (functions.empty()) return timed;
    auto copies = make_copies(call, bytes, device_.properties().l2CacheSize);
    std::vector<tvm::ffi::Function> sides;
    std::vector<Timed*> side_of;
    for (std::size_t i = 0; i < functions.size(); ++i) {
      try {
        copies.front()->call(functions[i]);
        check_cuda(cudaStreamSynchronize(device_.stream()), "the first call");
        sides.push_back(functions[i]);
        side_of.push_back(&timed[i]);
      } catch (const tvm::ffi::Error& e) {
        timed[i].refused = std::string(e.message());
      }
    }
    if (sides.empty()) return timed;
    const auto fill = [&](Timing Timed::*into) {
      constexpr std::size_t kCalls = 20;  // at least so many calls a sample
      const auto per_copy = (kCalls + copies.size() - 1) / copies.size();
      const auto calls = static_cast<int>(per_copy * copies.size());
      const auto times = device_.time(sides, copies, calls, samples, clock);
      for (std::size_t s = 0; s < sides.size(); ++s) side_of[s]->*into = times[s];
    };
    fill(&Timed::cold);
    copies.resize(1);
    fill(&Timed::warm);
    return timed;
  }

 private:
  Device device_;
};

}  // namespace
}  // namespace dsv4::bench

extern "C" dsv4::bench::Timer* dsv4_open_timer(char* why, std::size_t size) {
  try {
    return new dsv4::bench::CudaTimer;
  } catch (const std::exception& e) {
    std::snprintf(why, size, "%s", e.what());
    return nullptr;
  }
}
