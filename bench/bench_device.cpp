#include "bench/bench_device.h"

#include <fmt/format.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "harness/core/error.h"
#include "harness/sets/ffi_types.h"

namespace dsv4::bench {
namespace {

/// Gives modules the memory that they allocate (workspaces, returned plans). It is a ring buffer in one block of device
/// memory, so no CUDA allocation happens while calls are timed or captured. When the ring is full, it begins again at
/// the start and reuses addresses. This is safe, because all work is ordered on one stream, and the tensors that used
/// these addresses were freed long before.
class Pool {
 public:
  static constexpr std::size_t kBytes = std::size_t{512} << 20;

  void* take(std::size_t bytes) {
    bytes = (bytes + 255) / 256 * 256;
    if (bytes > kBytes / 4)
      throw Error(fmt::format("a module asked for {} bytes of workspace, too many for this pool", bytes));
    if (base_ == nullptr) check_cuda(cudaMalloc(&base_, kBytes), "cudaMalloc of the workspace pool");
    if (used_ + bytes > kBytes) used_ = 0;
    void* const at = static_cast<char*>(base_) + used_;
    used_ += bytes;
    return at;
  }

 private:
  void* base_ = nullptr;
  std::size_t used_ = 0;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

struct Allocation {
  DLManagedTensorVersioned managed{};
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  void* host = nullptr;

  ~Allocation() { std::free(host); }
};

int allocate(DLTensor* prototype, DLManagedTensorVersioned** out, void* context,
             void (*set_error)(void*, const char*, const char*)) {
  try {
    auto allocation = std::make_unique<Allocation>();
    allocation->shape.assign(prototype->shape, prototype->shape + prototype->ndim);
    allocation->strides.assign(allocation->shape.size(), 1);
    std::size_t bytes = (prototype->dtype.bits + 7) / 8;
    for (int i = prototype->ndim; i-- > 0;) {
      allocation->strides[i] = i + 1 < prototype->ndim ? allocation->strides[i + 1] * allocation->shape[i + 1] : 1;
      bytes *= static_cast<std::size_t>(allocation->shape[i]);
    }
    DLTensor& tensor = allocation->managed.dl_tensor;
    tensor = *prototype;
    tensor.byte_offset = 0;
    tensor.shape = allocation->shape.data();
    tensor.strides = allocation->strides.data();
    if (prototype->device.device_type == kDLCUDA) {
      tensor.data = pool().take(bytes);
    } else {
      tensor.data = allocation->host = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    }
    allocation->managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    allocation->managed.manager_ctx = allocation.get();
    allocation->managed.deleter = [](DLManagedTensorVersioned* self) {
      delete static_cast<Allocation*>(self->manager_ctx);
    };
    *out = &allocation.release()->managed;
    return 0;
  } catch (const std::exception& e) {
    set_error(context, "MemoryError", e.what());
    return -1;
  }
}

Timing summarise(std::vector<double> microseconds) {
  std::sort(microseconds.begin(), microseconds.end());
  const auto at = [&](double q) {
    return microseconds[static_cast<std::size_t>(std::lround(q * static_cast<double>(microseconds.size() - 1)))];
  };
  return {at(0.5), at(0.1), at(0.9)};
}

}  // namespace

void check_cuda(cudaError_t status, const std::string& what) {
  if (status != cudaSuccess) throw Error(fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

DeviceArguments::DeviceArguments(const Call& call) {
  shapes_.reserve(call.args.size() * 2);  // the tensors point to these shapes
  tensors_.reserve(call.args.size());
  placed_.resize(call.args.size());
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    const Arg& arg = call.args[i];
    if (const auto* integer = std::get_if<std::int64_t>(&arg.value)) {
      packed_.emplace_back(*integer);
    } else if (const auto* real = std::get_if<double>(&arg.value)) {
      packed_.emplace_back(*real);
    } else if (const auto* truth = std::get_if<bool>(&arg.value)) {
      packed_.emplace_back(*truth);
    } else if (!arg.is_tensor()) {
      packed_.emplace_back(nullptr);
    } else {
      DLTensor* const tensor = add(arg.tensor(), arg.place == Place::kHost, placed_[i]);
      if (arg.reached_by.empty()) packed_.emplace_back(tensor);
    }
  }
  for (std::size_t i = 0; i < call.args.size(); ++i) {
    if (call.args[i].reached_by.empty() || placed_[i].tensor == nullptr) continue;
    Arg holder = call.arg(call.args[i].reached_by);
    Placed& addresses = placed_[static_cast<std::size_t>(&call.arg(call.args[i].reached_by) - call.args.data())];
    write_addresses(call.args[i], reinterpret_cast<std::uintptr_t>(placed_[i].tensor->data), holder);
    check_cuda(cudaMemcpy(addresses.storage, holder.tensor().storage.data(), addresses.bytes, cudaMemcpyDefault),
               "cudaMemcpy");
    addresses.own = false;  // restore() must keep the addresses
  }
}

DLTensor* DeviceArguments::add(const HostTensor& t, bool on_host, Placed& placed) {
  void* data = nullptr;
  const std::size_t bytes = std::max<std::size_t>(t.storage.size(), 16);
  if (on_host) {
    check_cuda(cudaMallocHost(&data, bytes), "cudaMallocHost");
    pinned_.push_back(data);
    std::copy(t.storage.begin(), t.storage.end(), static_cast<std::uint8_t*>(data));
  } else {
    check_cuda(cudaMalloc(&data, bytes), fmt::format("cudaMalloc of {} bytes", bytes));
    device_.push_back(data);
    device_bytes_ += bytes;
    check_cuda(cudaMemcpy(data, t.storage.data(), t.storage.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  DLTensor tensor{};
  tensor.data = static_cast<std::uint8_t*>(data) + t.offset * size_of(t.dtype);
  tensor.device = {on_host ? kDLCPU : kDLCUDA, 0};
  tensor.ndim = static_cast<int>(t.rank());
  tensor.dtype = to_dlpack(t.dtype);
  tensor.shape = shapes_.emplace_back(t.shape).data();
  tensor.strides = shapes_.emplace_back(t.strides).data();
  placed = {.tensor = &tensors_.emplace_back(tensor), .storage = data, .bytes = t.storage.size()};
  return placed.tensor;
}

DeviceArguments::~DeviceArguments() {
  for (void* data : device_) (void)cudaFree(data);
  for (void* data : pinned_) (void)cudaFreeHost(data);
}

tvm::ffi::Any DeviceArguments::call(const tvm::ffi::Function& function) {
  tvm::ffi::Any result;
  function.CallPacked(packed_.data(), static_cast<std::int32_t>(packed_.size()), &result);
  return result;
}

void DeviceArguments::move(std::size_t arg, void* data) {
  placed_.at(arg).tensor->data = placed_.at(arg).storage = data;
  placed_.at(arg).own = false;
}

std::vector<std::uint8_t> DeviceArguments::read(std::size_t arg) const {
  const Placed& placed = placed_.at(arg);
  std::vector<std::uint8_t> bytes(placed.bytes);
  check_cuda(cudaMemcpy(bytes.data(), placed.storage, placed.bytes, cudaMemcpyDefault), "cudaMemcpy");
  return bytes;
}

void DeviceArguments::restore(const Call& call) {
  for (std::size_t i = 0; i < placed_.size(); ++i) {
    if (placed_[i].tensor == nullptr || !placed_[i].own) continue;
    check_cuda(
        cudaMemcpy(placed_[i].storage, call.args[i].tensor().storage.data(), placed_[i].bytes, cudaMemcpyDefault),
        "cudaMemcpy");
  }
}

Device::Device() {
  int count = 0;
  check_cuda(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  check_cuda(cudaSetDevice(0), "cudaSetDevice");
  check_cuda(cudaGetDeviceProperties(&properties_, 0), "cudaGetDeviceProperties");
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  check_cuda(cudaEventCreate(&begin_), "cudaEventCreate");
  check_cuda(cudaEventCreate(&end_), "cudaEventCreate");
  TVMFFIEnvSetStream(kDLCUDA, 0, stream_, nullptr);
  TVMFFIEnvSetDLPackManagedTensorAllocator(&allocate, 1, nullptr);
  (void)pool().take(256);  // allocates the pool's memory before any capture
}

Device::~Device() {
  (void)cudaEventDestroy(begin_);
  (void)cudaEventDestroy(end_);
  (void)cudaStreamDestroy(stream_);
}

double Device::sample_stream(const std::function<void()>& work, int calls) {
  check_cuda(cudaEventRecord(begin_, stream_), "cudaEventRecord");
  work();
  check_cuda(cudaEventRecord(end_, stream_), "cudaEventRecord");
  check_cuda(cudaEventSynchronize(end_), "the timed calls");
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
  return milliseconds * 1e3 / calls;
}

std::vector<Timing> Device::time(const std::vector<tvm::ffi::Function>& sides,
                                 const std::vector<std::unique_ptr<DeviceArguments>>& copies, int calls, int samples,
                                 Clock& clock) {
  const auto all_calls = [&](const tvm::ffi::Function& side) {
    for (int i = 0; i < calls; ++i) copies[i % copies.size()]->call(side);
  };
  // The first calls also load modules and set kernel attributes, which must not happen during a capture.
  for (const auto& side : sides) all_calls(side);
  check_cuda(cudaStreamSynchronize(stream_), "warm-up calls");

  std::vector<cudaGraphExec_t> graphs;
  if (clock == Clock::kGraph) {
    for (const auto& side : sides) {
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t executable = nullptr;
      bool issued = true;
      check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
      try {
        all_calls(side);
      } catch (const tvm::ffi::Error&) {
        issued = false;  // the warm-up calls succeeded, so the reason is the capture
      }
      const cudaError_t ended = cudaStreamEndCapture(stream_, &graph);
      if (!issued || ended != cudaSuccess || cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) {
        (void)cudaGetLastError();
        clock = Clock::kStream;
      }
      if (graph != nullptr) (void)cudaGraphDestroy(graph);
      if (clock != Clock::kGraph) break;
      graphs.push_back(executable);
    }
  }

  const auto sample = [&](std::size_t side) {
    if (clock == Clock::kGraph) {
      return sample_stream([&] { check_cuda(cudaGraphLaunch(graphs[side], stream_), "cudaGraphLaunch"); }, calls);
    }
    if (clock == Clock::kStream) return sample_stream([&] { all_calls(sides[side]); }, calls);
    const auto start = std::chrono::steady_clock::now();
    all_calls(sides[side]);
    check_cuda(cudaStreamSynchronize(stream_), "the timed calls");
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / calls;
  };
  std::vector<std::vector<double>> taken(sides.size());
  constexpr int kDiscarded = 3;
  for (int s = -kDiscarded; s < samples; ++s) {
    for (std::size_t side = 0; side < sides.size(); ++side) {
      const double microseconds = sample(side);
      if (s >= 0) taken[side].push_back(microseconds);
    }
  }
  for (cudaGraphExec_t graph : graphs) (void)cudaGraphExecDestroy(graph);
  std::vector<Timing> timings;
  for (auto& times : taken) timings.push_back(summarise(std::move(times)));
  return timings;
}

}  // namespace dsv4::bench
