/// Launches a kernel. A launch selects the device and the stream, raises the limit of shared memory if necessary, may
/// overlap with the previous kernel, and throws on errors.
///
///     const Launch launch{.name = "fused_rope", .device = check.device(), .grid = dim3(tokens), .block = dim3(256)};
///     launch(kernel, params);
///
/// The kernel runs on the stream that the caller set in the TVM-FFI environment. The launch makes `device` the current
/// CUDA device and afterwards restores the previous one. So the caller need not set the current device.
#pragma once

#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/common/device.h"

namespace dsv4 {

/// If `status` is an error, throws a RuntimeError "<what>: CUDA error: <text>".
inline void throw_on_cuda_error(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // clears the error; otherwise a later call would report it again
  TVM_FFI_THROW(RuntimeError) << what << ": CUDA error: " << cudaGetErrorString(status);
}

/// Makes a device current while this object exists. Then the previous device is current again.
class DeviceScope {
 public:
  explicit DeviceScope(int device) {
    throw_on_cuda_error(cudaGetDevice(&previous_), "cudaGetDevice");
    if (previous_ == device) return;
    throw_on_cuda_error(cudaSetDevice(device), "cudaSetDevice");
    changed_ = true;
  }
  ~DeviceScope() {
    if (changed_) (void)cudaSetDevice(previous_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

/// Returns the number of multiprocessors of a device. A launch that should fill the device computes its number of
/// blocks from it.
inline int multiprocessor_count(DLDevice device) {
  int count = 0;
  throw_on_cuda_error(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device.device_id),
                      "cudaDeviceGetAttribute");
  return count;
}

inline cudaStream_t current_stream(DLDevice device) {
  return static_cast<cudaStream_t>(TVMFFIEnvGetStream(device.device_type, device.device_id));
}

/// Returns a one-dimensional grid. Throws if `blocks` exceeds CUDA's limit of 2^31 - 1 blocks.
inline dim3 grid_of(std::int64_t blocks, const char* op) {
  constexpr std::int64_t kMaxBlocks = 0x7FFFFFFF;
  if (blocks > kMaxBlocks) {
    TVM_FFI_THROW(ValueError) << op << ": the call needs " << blocks << " blocks, but CUDA's limit is " << kMaxBlocks;
  }
  return dim3(static_cast<unsigned>(blocks));
}

struct Launch {
  const char* name;  ///< appears in error messages
  DLDevice device;
  dim3 grid;
  dim3 block;
  std::size_t dynamic_shared_bytes = 0;
  /// If true, blocks may start before the stream's previous kernel has ended (programmatic dependent launch). Then
  /// every thread of the kernel must call `wait_for_previous_kernel()` before it accesses global memory or returns. In
  /// the same way, the stream's next kernel may start when the blocks of this kernel have ended. A kernel must not let
  /// it start before its own last write (device.h).
  bool overlap_previous = true;

  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), Arguments&&... arguments) const {
    const DeviceScope scope(device.device_id);
    if (dynamic_shared_bytes > 48 * 1024) {
      // A launch with more than 48 KB fails unless this attribute of the kernel is set. The attribute belongs to the
      // context of the current device. So a flag "already set" for the whole process would be wrong for a second
      // device. Therefore every launch sets the attribute; this costs far less than the launch.
      throw_on_cuda_error(
          cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(dynamic_shared_bytes)),
          name);
    }
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = dynamic_shared_bytes;
    config.stream = current_stream(device);
    config.attrs = &attribute;
    config.numAttrs = overlap_previous ? 1 : 0;
    throw_on_cuda_error(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
  }
};

}  // namespace dsv4
