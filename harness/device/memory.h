/// Memory of a set's device, and guarded blocks in it.
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
  /// Reserves a block of `bytes`, most of which is never used. Only parts passed to open() may be accessed. Released
  /// with `release`, like any block. Throws std::bad_alloc.
  virtual void* reserve(std::size_t bytes) = 0;
  /// Makes part of a reserved block accessible, in whole pages of kPage bytes. On a host, an access to another page is
  /// a segmentation fault. On a GPU the whole block is accessible.
  virtual void open(void* /*part*/, std::size_t /*bytes*/) {}
  static constexpr std::size_t kPage = 4096;
  /// Under AddressSanitizer, each access to this part is reported at the instruction that makes it, until the part is
  /// permitted again. Host memory only.
  virtual void forbid(const void* /*part*/, std::size_t /*bytes*/) {}
  virtual void permit(const void* /*part*/, std::size_t /*bytes*/) {}
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  /// Waits for all launches. Throws DeviceLost if a launch left the context dead.
  virtual void synchronize() = 0;
  /// Returns and clears the error that a launch left behind; "" if there is none. Such an error does not mean that the
  /// context is dead. But if it stays, the next user of the runtime gets it.
  virtual std::string take_error() { return ""; }
  /// The stream on which the set's functions launch (TVM-FFI's environment stream); null on a host.
  [[nodiscard]] virtual void* stream() = 0;
};

std::unique_ptr<DeviceMemory> make_host_memory();
/// Loads the CUDA plug-in. Throws an Error that says what is missing (no driver, no LibTorch with CUDA) and what to do.
std::unique_ptr<DeviceMemory> make_cuda_memory();

/// A tensor's memory on a device, with guard bands around it.
class Block {
 public:
  static constexpr std::size_t kGuard = 4096;  ///< bytes of a band: more than a row of any op's widest vector access

  Block() = default;
  virtual ~Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Where the tensor's storage begins.
  [[nodiscard]] virtual void* payload() const = 0;
  /// Writes the tensor's whole storage; read() returns it.
  virtual void write(const std::vector<std::uint8_t>& image) = 0;
  [[nodiscard]] virtual std::vector<std::uint8_t> read() const = 0;
  /// Under AddressSanitizer, each access to the guard bands is reported at the instruction that makes it. Host
  /// memory only.
  virtual void arm() = 0;
  virtual void disarm() = 0;
  /// Appends a finding "guard" if a guard band was changed; `name` is the argument's name.
  virtual void check(const std::string& name, std::vector<Finding>& findings) const = 0;
};

/// A block with guard bands on both sides. The payload starts at a multiple of 256 bytes plus `misalign`.
class GuardedBlock final : public Block {
 public:
  GuardedBlock(DeviceMemory& memory, std::size_t bytes, std::uint32_t poison, std::size_t misalign = 0);
  ~GuardedBlock() override;

  [[nodiscard]] void* payload() const override { return payload_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  void write(const std::vector<std::uint8_t>& image) override;
  [[nodiscard]] std::vector<std::uint8_t> read() const override;
  void arm() override;
  void disarm() override;
  void check(const std::string& name, std::vector<Finding>& findings) const override;

 private:
  DeviceMemory& memory_;
  std::size_t bytes_;
  std::size_t before_;
  std::size_t after_;
  std::uint32_t poison_;
  std::uint8_t* base_;
  std::uint8_t* payload_;
};

}  // namespace dsv4
