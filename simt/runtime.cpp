/// The part of the CUDA runtime that kernels and the host code of their modules call. There is one device, and its
/// memory is the host's memory. When a call returns, all its work is done. So functions of streams and events have
/// nothing to wait for. These functions have the names of the CUDA runtime's functions. They are local to each module,
/// so a CUDA runtime library in the same process does not replace them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>

#include "simt/cuda_headers.h"
#include "simt/executor.h"
#include "simt/fault.h"
#include "simt/launch.h"

namespace {

// To its callers, the executor looks like one GPU of compute capability 9.0.
constexpr int kMultiprocessors = 132;
constexpr int kThreadsPerMultiprocessor = 2048;
constexpr std::size_t kSharedBytesPerMultiprocessor = 228 * 1024;
constexpr std::size_t kReservedSharedBytes = 1024;
constexpr unsigned kMaxClusterBlocks = 8;  ///< the size that every GPU with clusters supports
constexpr std::size_t kAllocationAlignment = 256;

std::mutex state;
cudaError_t last_error = cudaSuccess;

std::unordered_map<const void*, std::size_t>& dynamic_limits() {
  static std::unordered_map<const void*, std::size_t> limits;
  return limits;
}

/// Remembers an error for cudaGetLastError.
cudaError_t noted(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

cudaError_t valid(bool condition) { return noted(condition ? cudaSuccess : cudaErrorInvalidValue); }

std::size_t dynamic_limit(const void* kernel) {
  const std::lock_guard lock(state);
  const auto found = dynamic_limits().find(kernel);
  return found == dynamic_limits().end() ? simt::kDefaultSharedBytes : found->second;
}

struct ErrorName {
  cudaError_t code;
  const char* name;
  const char* text;
};
constexpr ErrorName kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorAssert, "cudaErrorAssert", "device-side assert triggered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize", "cluster misconfiguration"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
};

const ErrorName* find_error(cudaError_t code) {
  for (const ErrorName& error : kErrors) {
    if (error.code == code) return &error;
  }
  return nullptr;
}

struct Event {
  std::chrono::steady_clock::time_point when;
};

}  // namespace

namespace simt {

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, void (*invoke)(const void*),
                   const void* arguments) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  const auto within = [](const dim3& size, unsigned x, unsigned y, unsigned z) {
    return size.x - 1 < x && size.y - 1 < y && size.z - 1 < z;  // a size of 0 gives 2^32 - 1, which is refused
  };
  if (!within(grid, 0x7FFFFFFF, 65535, 65535) || !within(block, 1024, 1024, 64) ||
      std::uint64_t{block.x} * block.y * block.z > kMaxThreads) {
    clear_fault();
    return noted(cudaErrorInvalidConfiguration);
  }
  if (config.dynamicSmemBytes > dynamic_limit(kernel)) {
    clear_fault();
    return noted(cudaErrorInvalidValue);
  }
  bool dependent = false;
  dim3 cluster(1, 1, 1);
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id == cudaLaunchAttributeProgrammaticStreamSerialization) {
      dependent = config.attrs[i].val.programmaticStreamSerializationAllowed != 0;
    }
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& size = config.attrs[i].val.clusterDim;
    cluster = dim3(size.x, size.y, size.z);
  }
  if (!within(cluster, kMaxClusterBlocks, kMaxClusterBlocks, kMaxClusterBlocks) ||
      cluster.x * cluster.y * cluster.z > kMaxClusterBlocks || grid.x % cluster.x != 0 || grid.y % cluster.y != 0 ||
      grid.z % cluster.z != 0) {
    clear_fault();
    return noted(cudaErrorInvalidClusterSize);
  }
  return noted(static_cast<cudaError_t>(run({.kernel = kernel,
                                             .grid = grid,
                                             .block = block,
                                             .cluster = cluster,
                                             .dynamic_shared_bytes = config.dynamicSmemBytes,
                                             .dependent = dependent,
                                             .invoke = invoke,
                                             .arguments = arguments})));
}

}  // namespace simt

extern "C" {

// --- errors ---------------------------------------------------------------------------------------------------------

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorName(cudaError_t code) {
  const ErrorName* error = find_error(code);
  return error == nullptr ? "unrecognized error code" : error->name;
}

/// Returns the CUDA runtime's text for the error. If the last launch failed with this error, the executor's
/// text follows.
const char* cudaGetErrorString(cudaError_t code) {
  const ErrorName* error = find_error(code);
  const char* text = error == nullptr ? "unrecognized error code" : error->text;
  const simt::Fault& fault = simt::last_fault();
  if (code == cudaSuccess || fault.code != code) return text;
  static std::string detailed;
  detailed = std::string(text) + ": " + fault.text;
  return detailed.c_str();
}

// --- device ---------------------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return noted(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return noted(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      return *value = kMultiprocessors, cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      return *value = 9, cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      return *value = 0, cudaSuccess;
    case cudaDevAttrWarpSize:
      return *value = 32, cudaSuccess;
    case cudaDevAttrMaxThreadsPerBlock:
      return *value = 1024, cudaSuccess;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return *value = kThreadsPerMultiprocessor, cudaSuccess;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return *value = 32, cudaSuccess;
    case cudaDevAttrMaxRegistersPerBlock:
      return *value = 65536, cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return *value = simt::kDefaultSharedBytes, cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return *value = simt::kMaxSharedBytes, cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return *value = kSharedBytesPerMultiprocessor, cudaSuccess;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return *value = kReservedSharedBytes, cudaSuccess;
    case cudaDevAttrL2CacheSize:
      return *value = 50 << 20, cudaSuccess;
    case cudaDevAttrCooperativeLaunch:
      return *value = 0, cudaSuccess;
    case cudaDevAttrUnifiedAddressing:
      return *value = 1, cudaSuccess;
    default:
      return noted(cudaErrorInvalidValue);
  }
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return noted(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "dsv4diff host executor");
  properties->major = 9;
  properties->minor = 0;
  properties->warpSize = 32;
  properties->multiProcessorCount = kMultiprocessors;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = kThreadsPerMultiprocessor;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 0x7FFFFFFF;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->regsPerBlock = 65536;
  properties->sharedMemPerBlock = simt::kDefaultSharedBytes;
  properties->sharedMemPerBlockOptin = simt::kMaxSharedBytes;
  properties->sharedMemPerMultiprocessor = kSharedBytesPerMultiprocessor;
  properties->reservedSharedMemPerBlock = kReservedSharedBytes;
  properties->l2CacheSize = 50 << 20;
  properties->totalGlobalMem = std::size_t{80} << 30;
  properties->unifiedAddressing = 1;
  return cudaSuccess;
}

// --- kernels --------------------------------------------------------------------------------------------------------

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<std::size_t>(value) > simt::kMaxSharedBytes) return noted(cudaErrorInvalidValue);
  const std::lock_guard lock(state);
  dynamic_limits()[kernel] = std::max(static_cast<std::size_t>(value), simt::kDefaultSharedBytes);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_limit(kernel));
  attributes->ptxVersion = attributes->binaryVersion = 90;
  return cudaSuccess;
}

// The number of registers is not known here, so occupancy is computed only from threads and shared memory.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int block_size,
                                                                   std::size_t dynamic_bytes, unsigned) {
  if (block_size <= 0 || block_size > 1024) return noted(cudaErrorInvalidValue);
  const std::size_t warps = (static_cast<std::size_t>(block_size) + 31) / 32;
  const std::size_t by_threads = kThreadsPerMultiprocessor / 32 / warps;
  const std::size_t by_shared = kSharedBytesPerMultiprocessor / (dynamic_bytes + kReservedSharedBytes);
  *blocks = static_cast<int>(std::min({by_threads, by_shared, std::size_t{32}}));
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int block_size,
                                                          std::size_t dynamic_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, kernel, block_size, dynamic_bytes, 0);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, const void*, int blocks, int block_size) {
  if (blocks <= 0 || block_size <= 0) return noted(cudaErrorInvalidValue);
  const std::size_t share = kSharedBytesPerMultiprocessor / static_cast<std::size_t>(blocks);
  *bytes = std::min(simt::kMaxSharedBytes, share > kReservedSharedBytes ? share - kReservedSharedBytes : 0);
  return cudaSuccess;
}

// --- memory ---------------------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  const std::size_t rounded =
      (std::max<std::size_t>(bytes, 1) + kAllocationAlignment - 1) & ~(kAllocationAlignment - 1);
  *pointer = std::aligned_alloc(kAllocationAlignment, rounded);
  return noted(*pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}
cudaError_t cudaFree(void* pointer) { return std::free(pointer), cudaSuccess; }
cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t) { return cudaMalloc(pointer, bytes); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return cudaFree(pointer); }
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) { return cudaMalloc(pointer, bytes); }
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) { return cudaMalloc(pointer, bytes); }
cudaError_t cudaFreeHost(void* pointer) { return cudaFree(pointer); }

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  if (bytes == 0) return cudaSuccess;
  if (valid(to != nullptr && from != nullptr) != cudaSuccess) return cudaErrorInvalidValue;
  std::memmove(to, from, bytes);
  simt::watch_other_work();
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t) {
  for (std::size_t row = 0; row < height; ++row) {
    const cudaError_t status = cudaMemcpy(static_cast<char*>(to) + row * to_pitch,
                                          static_cast<const char*>(from) + row * from_pitch, width, kind);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}
cudaError_t cudaMemset(void* at, int value, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  if (valid(at != nullptr) != cudaSuccess) return cudaErrorInvalidValue;
  std::memset(at, value, bytes);
  simt::watch_other_work();
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t) {
  return cudaMemset(at, value, bytes);
}

// --- streams and events ---------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = nullptr, cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return *stream = nullptr, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event{});
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete reinterpret_cast<Event*>(event), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  reinterpret_cast<Event*>(event)->when = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  const auto elapsed = reinterpret_cast<Event*>(to)->when - reinterpret_cast<Event*>(from)->when;
  *milliseconds = std::chrono::duration<float, std::milli>(elapsed).count();
  return cudaSuccess;
}

// --- assert ---------------------------------------------------------------------------------------------------------

/// If an `assert` in a kernel fails, the launch fails, as on a GPU. If an `assert` in host code fails, the program
/// ends, as usual.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): the C library gives the name
void __assert_fail(const char* expression, const char* file, unsigned line, const char* function) noexcept {
  std::string text = "assertion `" + std::string(expression) + "` failed at " + file + ":" + std::to_string(line) +
                     (function == nullptr ? "" : std::string(", ") + function);
  if (simt::in_kernel()) simt::fail_kernel(cudaErrorAssert, std::move(text));
  std::fprintf(stderr, "%s\n", text.c_str());
  std::abort();
}

}  // extern "C"
