/// The memory of a set's device, and blocks with guard bands in this memory.
#pragma once

#include <dlpack/dlpack.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/error.h"

namespace dsv4 {

/// A device's memory and stream. The host implementation is in memory.cpp. The CUDA implementation (LibTorch) is a
/// plug-in, cuda_memory.cpp.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* block) = 0;
  /// Reserves a block of `bytes` bytes, most of which are never used. Only parts that were passed to open() may be
  /// accessed. release() releases the block. Throws std::bad_alloc if there is too little memory.
  virtual void* reserve(std::size_t bytes) = 0;
  /// Makes part of a reserved block accessible, in whole pages of kPage bytes. On a host, an access to any other page
  /// of the block is a segmentation fault. On a GPU the whole block is accessible.
  virtual void open(void* /*part*/, std::size_t /*bytes*/) {}
  static constexpr std::size_t kPage = 4096;
  /// Forbids access to this part, until permit() allows it again. Under AddressSanitizer, each forbidden access to host
  /// memory is reported at the instruction that makes it. In every other case this has no effect.
  virtual void forbid(const void* /*part*/, std::size_t /*bytes*/) {}
  virtual void permit(const void* /*part*/, std::size_t /*bytes*/) {}
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  /// Waits until all launches on stream() have ended. Throws DeviceLost if the context is dead.
  virtual void synchronize() = 0;
  /// The same for every stream of the device. Some kernels launch on another stream than stream().
  virtual void synchronize_device() { synchronize(); }
  /// Returns and clears the last error of the CUDA runtime, which a launch may have set; "" if there is none. This
  /// error does not mean that the context is dead. But if it is not cleared, the next code that asks the runtime for
  /// errors gets it.
  virtual std::string take_error() { return ""; }
  /// The stream on which the set's functions launch (TVM-FFI's environment stream); null on a host.
  [[nodiscard]] virtual void* stream() = 0;
};

std::unique_ptr<DeviceMemory> make_host_memory();
/// Loads the CUDA plug-in. Throws an Error that says what is missing (no driver, no LibTorch with CUDA) and what to do.
std::unique_ptr<DeviceMemory> make_cuda_memory();

/// What surrounds the memory of a tensor. An access to an inaccessible page is a segmentation fault.
enum class Surround {
  kBands,       ///< guard bands
  kPageBefore,  ///< an inaccessible page right before the tensor; after it, a band up to the end of its last page
  kPageAfter,   ///< an inaccessible page right after the tensor; before it, a band from the start of its first page
  kNothing,     ///< nothing: the tensor is an allocation of its own, so that NVIDIA's memcheck knows where it ends
};

/// A tensor's memory on a device, with guard bands around it.
class MemoryBlock {
 public:
  static constexpr std::size_t kGuard =
      4096;  ///< bytes of a band; the widest vector access of a warp, 32 * 16 bytes, is smaller

  MemoryBlock() = default;
  virtual ~MemoryBlock() = default;
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  /// Address at which the tensor's storage begins.
  [[nodiscard]] virtual void* payload() const = 0;
  /// Bytes from payload() to the end of the tensor's last element.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// Writes the tensor's whole storage. read() returns the current contents.
  virtual void write(const std::vector<std::uint8_t>& image) = 0;
  [[nodiscard]] virtual std::vector<std::uint8_t> read() const = 0;
  /// Forbids access to the guard bands (DeviceMemory::forbid), until disarm() allows it again.
  virtual void arm() = 0;
  virtual void disarm() = 0;
  /// Appends a finding "guard" if a guard band was changed; `name` is the argument's name.
  virtual void check(const std::string& name, std::vector<Finding>& findings) const = 0;
};

/// A block with a guard band on each side, unless `surround` says otherwise. The address of the payload is a multiple
/// of 256 bytes, plus `misalign`. But with Surround::kPageAfter the payload ends at the page, or so few bytes before it
/// that its start is a multiple of `alignment`, and `misalign` has no effect.
class GuardedBlock final : public MemoryBlock {
 public:
  /// Throws Unavailable if there is no address space for inaccessible pages.
  GuardedBlock(DeviceMemory& memory, std::size_t bytes, std::uint32_t poison, std::size_t misalign = 0,
               Surround surround = Surround::kBands, std::size_t alignment = 1);
  ~GuardedBlock() override;

  [[nodiscard]] void* payload() const override { return payload_; }
  [[nodiscard]] std::size_t bytes() const override { return bytes_; }

  void write(const std::vector<std::uint8_t>& image) override;
  [[nodiscard]] std::vector<std::uint8_t> read() const override;
  void arm() override;
  void disarm() override;
  void check(const std::string& name, std::vector<Finding>& findings) const override;

 private:
  /// Allocates the block. Sets the sizes of the bands.
  [[nodiscard]] std::uint8_t* allocate(std::size_t misalign, Surround surround, std::size_t alignment);

  DeviceMemory& memory_;
  std::size_t bytes_;
  std::size_t before_ = 0;
  std::size_t after_ = 0;
  std::uint32_t poison_;
  std::uint8_t* base_;
  std::uint8_t* payload_;
};

}  // namespace dsv4
