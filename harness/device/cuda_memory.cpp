/// The plug-in libdsv4_cuda.so: device memory and streams, implemented with LibTorch.
///
/// The plug-in uses only LibTorch's device-generic interface, so it does not link the CUDA runtime or libtorch_cuda. It
/// loads libtorch_cuda at run time, and that library then registers itself. On a machine without libtorch_cuda, the
/// user gets a clear message instead of an error of the loader.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "harness/device/memory.h"

namespace dsv4 {
namespace {

class TorchCudaMemory final : public DeviceMemory {
 public:
  TorchCudaMemory() : guard_(c10::DeviceType::CUDA), stream_(start()) { guard_.exchangeStream(stream_); }

  void* allocate(std::size_t bytes) override {
    return checked([&] {
      at::Tensor block = at::empty({static_cast<std::int64_t>(bytes)}, options());
      void* data = block.data_ptr();
      blocks_.emplace(data, std::move(block));
      return data;
    });
  }

  void release(void* block) override {
    blocks_.erase(block);
    if (reserved_.erase(block) == 0) return;
    try {
      at::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache();
    } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch): a dead context is reported at its next use
    }
  }

  /// A reserved block has gigabytes. Other workers need memory too, so release() returns the block to the
  /// device immediately.
  void* reserve(std::size_t bytes) override {
    void* const block = allocate(bytes);
    reserved_.insert(block);
    return block;
  }

  void upload(void* device, const void* host, std::size_t bytes) override {
    checked([&] {
      const auto n = static_cast<std::int64_t>(bytes);
      const at::Tensor source = at::from_blob(const_cast<void*>(host), {n}, at::TensorOptions().dtype(at::kByte));
      at::from_blob(device, {n}, options()).copy_(source);
      return nullptr;
    });
  }

  void download(void* host, const void* device, std::size_t bytes) override {
    checked([&] {
      const auto n = static_cast<std::int64_t>(bytes);
      at::Tensor target = at::from_blob(host, {n}, at::TensorOptions().dtype(at::kByte));
      target.copy_(at::from_blob(const_cast<void*>(device), {n}, options()));
      return nullptr;
    });
  }

  void synchronize() override {
    checked([&] {
      guard_.synchronizeStream(stream_);
      return nullptr;
    });
  }

  void synchronize_device() override {
    checked([&] {
      guard_.synchronizeDevice(0);
      return nullptr;
    });
  }

  std::string take_error() override {
    // libtorch_cuda loaded the CUDA runtime. The modules of the kernels use the same runtime.
    static const auto last = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "cudaGetLastError"));
    static const auto text = reinterpret_cast<const char* (*)(int)>(dlsym(RTLD_DEFAULT, "cudaGetErrorString"));
    if (last == nullptr || text == nullptr) return "";
    const int code = last();
    return code == 0 ? "" : text(code);
  }

  void* stream() override { return guard_.getStreamNativeHandle(stream_); }

 private:
  static at::TensorOptions options() { return at::TensorOptions().dtype(at::kByte).device(at::kCUDA, 0); }

  /// Chooses a stream other than the default stream. A kernel that launches on the wrong stream is then not ordered
  /// with the copies, so that the mistake shows in its outputs.
  c10::Stream start() {
    at::globalContext().lazyInitDevice(at::kCUDA);
    return guard_.getStreamFromGlobalPool(c10::Device(c10::DeviceType::CUDA, 0));
  }

  /// Runs `body`. Throws std::bad_alloc if the GPU has too little memory. Every other failure of the runtime means that
  /// the context is dead, so it is thrown as DeviceLost.
  template <class Body>
  static auto checked(Body body) -> decltype(body()) {
    try {
      return body();
    } catch (const c10::OutOfMemoryError&) {
      throw std::bad_alloc();
    } catch (const c10::Error& e) {
      std::string text = e.what_without_backtrace();
      throw DeviceLost(text.substr(0, text.find('\n')));
    }
  }

  c10::impl::VirtualGuardImpl guard_;
  c10::Stream stream_;
  std::unordered_map<void*, at::Tensor> blocks_;
  std::unordered_set<void*> reserved_;
};

}  // namespace
}  // namespace dsv4

/// Opens the memory of CUDA device 0. If that fails, returns null and writes the reason into `why`.
extern "C" dsv4::DeviceMemory* dsv4_open_cuda_memory(char* why, std::size_t size) {
  try {
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      std::snprintf(why, size, "LibTorch's libtorch_cuda.so could not be loaded (%s)", dlerror());
      return nullptr;
    }
    auto memory = std::make_unique<dsv4::TorchCudaMemory>();
    memory->synchronize();
    return memory.release();
  } catch (const std::exception& e) {
    std::snprintf(why, size, "%s", e.what());
    return nullptr;
  }
}
