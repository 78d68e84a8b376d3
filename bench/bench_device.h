/// Device memory, stream and clock of the benchmark.
#pragma once

#include <cuda_runtime.h>
#include <tvm/ffi/any.h>
#include <tvm/ffi/function.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4::bench {

/// Throws Error "<what>: <CUDA's text>" unless `status` is cudaSuccess.
void check_cuda(cudaError_t status, const std::string& what);

/// Arguments that live on the device (or in pinned memory) and can be passed to a function any number of times.
class DeviceArguments {
 public:
  /// Copies the call's arguments. Tensors go to host memory if the call needs them there, otherwise to the device.
  explicit DeviceArguments(const Call& call);
  ~DeviceArguments();
  DeviceArguments(const DeviceArguments&) = delete;
  DeviceArguments& operator=(const DeviceArguments&) = delete;

  /// Calls `function` on the benchmark's stream. Throws tvm::ffi::Error if the function refuses.
  void call(const tvm::ffi::Function& function);
  std::size_t device_bytes() const { return device_bytes_; }

 private:
  DLTensor* add(const HostTensor& t, bool on_host);

  std::vector<void*> device_;
  std::vector<void*> pinned_;
  std::vector<Shape> shapes_;
  std::vector<DLTensor> tensors_;
  std::vector<tvm::ffi::AnyView> packed_;
  std::size_t device_bytes_ = 0;
};

/// How a time was taken.
enum class Clock {
  kGraph,   ///< calls captured into a CUDA graph, replayed between two events: without host time
  kStream,  ///< calls issued one after the other between two events: includes launch gaps if the host is slower
  kHost,    ///< calls that work on the host too: wall clock from the first call to an idle device
};
const char* name_of(Clock clock);

struct Timing {
  double median_us;
  double low_us;   ///< 10th percentile
  double high_us;  ///< 90th percentile
};

/// Owns the stream, and sets the allocator of modules. There is one per process.
class Device {
 public:
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Times each of `sides`. A sample is `calls` calls, which use the `copies` in turn. Samples of the sides alternate,
  /// so that a change of the GPU's clock rate affects them alike. `clock` becomes kStream if a side cannot be captured.
  std::vector<Timing> time(const std::vector<tvm::ffi::Function>& sides,
                           const std::vector<std::unique_ptr<DeviceArguments>>& copies, int calls, int samples,
                           Clock& clock);

  const cudaDeviceProp& properties() const { return properties_; }
  cudaStream_t stream() const { return stream_; }

 private:
  double sample_stream(const std::function<void()>& work, int calls);

  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace dsv4::bench
