/// The device memory, the stream and the clocks of the benchmark.
#pragma once

#include <cuda_runtime.h>
#include <tvm/ffi/any.h>
#include <tvm/ffi/function.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/bench/timer.h"
#include "harness/call/call.h"

namespace dsv4::bench {

/// If `status` is not cudaSuccess, throws Error "<what>: <CUDA's text>".
void check_cuda(cudaError_t status, const std::string& what);

/// Arguments in device memory or in pinned host memory. They can be passed to a function any number of times.
class DeviceArguments {
 public:
  /// Copies the call's arguments. A tensor is copied to host memory if the call needs it there, otherwise to
  /// device memory.
  explicit DeviceArguments(const Call& call);
  ~DeviceArguments();
  DeviceArguments(const DeviceArguments&) = delete;
  DeviceArguments& operator=(const DeviceArguments&) = delete;

  /// Calls `function` on the benchmark's stream, and returns what it returns. Throws tvm::ffi::Error if the function
  /// refuses the call.
  tvm::ffi::Any call(const tvm::ffi::Function& function);
  /// Lets tensor argument number `arg` begin at `data`, in memory that the caller owns.
  void move(std::size_t arg, void* data);
  /// Where tensor argument number `arg` begins.
  void* data(std::size_t arg) const { return placed_.at(arg).tensor->data; }
  /// Lets restore() leave tensor argument number `arg` as it is.
  void keep(std::size_t arg) { placed_.at(arg).own = false; }
  /// The present bytes of tensor argument number `arg`.
  std::vector<std::uint8_t> read(std::size_t arg) const;
  /// Writes the arguments of `call` again, as the constructor did. Arguments that were moved or kept are not written.
  void restore(const Call& call);
  std::size_t device_bytes() const { return device_bytes_; }

 private:
  std::vector<void*> device_;
  std::vector<void*> pinned_;
  std::vector<Shape> shapes_;
  std::vector<DLTensor> tensors_;
  /// A tensor argument: where it is, and which part of it the DLTensor is.
  struct Placed {
    DLTensor* tensor = nullptr;  ///< null if the argument is not a tensor
    void* storage = nullptr;
    std::size_t bytes = 0;
    bool own = true;
  };
  std::vector<Placed> placed_;  ///< by argument

  DLTensor* add(const HostTensor& t, bool on_host, Placed& placed);
  std::vector<tvm::ffi::AnyView> packed_;
  std::size_t device_bytes_ = 0;
};

/// Owns the stream, and sets the allocator from which modules get memory. A process has only one Device.
class Device {
 public:
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Times each function in `sides`. A sample is the time of `calls` calls; consecutive calls use different `copies`.
  /// Samples of the sides alternate, so that a change of the GPU's clock rate has the same effect on each side. If a
  /// side cannot be captured in a CUDA graph, `clock` becomes kStream.
  std::vector<Timing> time(const std::vector<tvm::ffi::Function>& sides,
                           const std::vector<std::unique_ptr<DeviceArguments>>& copies, int calls, int samples,
                           Clock& clock);

  /// Microseconds per call of `work`, which launches `calls` calls on the stream.
  double sample_stream(const std::function<void()>& work, int calls);

  const cudaDeviceProp& properties() const { return properties_; }
  cudaStream_t stream() const { return stream_; }

 private:
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace dsv4::bench
