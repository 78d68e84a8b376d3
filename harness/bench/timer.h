/// The times of calls on a GPU. libdsv4_bench.so implements them with the CUDA runtime.
#pragma once

#include <tvm/ffi/function.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4::bench {

/// How a time is measured.
enum class Clock {
  kGraph,   ///< the calls run as a CUDA graph between two events; host time is not included
  kStream,  ///< the calls are launched between two events; if the host is slower, its time is included
  kHost,    ///< wall clock from the first call until the device is idle; for calls that also work on the host
};
const char* name_of(Clock clock);

/// The time of one call in microseconds, from many samples.
struct Timing {
  double median_us = 0;
  double low_us = 0;   ///< 10th percentile
  double high_us = 0;  ///< 90th percentile
};

/// The times of one function at one shape.
struct Timed {
  std::string refused;  ///< why the function refused the call; "" if it did not. Then there are no times.
  Timing cold;  ///< consecutive calls use different copies of the inputs, so that the L2 cache does not hold them
  Timing warm;  ///< all calls use the same inputs
};

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() = default;

  /// What the times depend on besides gpu_facts(): "capability", "multiprocessors", "l2_mib", "cuda_driver" and
  /// "cuda_runtime".
  [[nodiscard]] virtual std::map<std::string, std::string> facts() const = 0;

  /// Measures how many bytes a second a copy from device memory to device memory reads and writes.
  virtual double copy_bytes_per_second() = 0;

  /// Times each function on the inputs of `call`. `bytes` is the memory traffic of one call: so many copies of the
  /// inputs are made that a cold call does not find its inputs in the L2 cache. The samples of the functions alternate,
  /// so that a change of the GPU's clock rate has the same effect on each. If a function cannot be captured in a CUDA
  /// graph, `clock` becomes kStream for all. Throws Error if a call fails on the device.
  virtual std::vector<Timed> time(const std::vector<tvm::ffi::Function>& functions, const Call& call, double bytes,
                                  int samples, Clock& clock) = 0;
};

/// Opens the GPU. Throws Error if there is none, or if libdsv4_bench.so cannot be loaded. A process has one timer.
std::unique_ptr<Timer> open_timer();

}  // namespace dsv4::bench
