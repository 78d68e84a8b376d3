/// Memory that a module allocates during a call.
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/device/memory.h"

namespace dsv4 {

/// While an object of this class exists, it provides the tensors that a module asks its TVM-FFI environment for
/// (returned plans, workspaces). Each is a block with guard bands, like an argument. It lives as long as this object,
/// so that it can be checked after the call.
class Allocations {
 public:
  /// `on_device_block` is called for each new block on the device, before it is armed.
  Allocations(DeviceMemory& device, DeviceMemory& host, std::uint32_t poison,
              std::function<void(const GuardedBlock&)> on_device_block = {});
  ~Allocations();
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  /// Call this before reading any block. Until then the blocks are armed (Block::arm).
  void disarm();
  [[nodiscard]] const std::vector<std::unique_ptr<GuardedBlock>>& blocks() const { return blocks_; }
  /// The block whose payload contains `address`; nullptr if there is none.
  [[nodiscard]] const GuardedBlock* find(const std::uint8_t* address) const;

 private:
  static int allocate(DLTensor* prototype, DLManagedTensorVersioned** out, void* error_context,
                      void (*set_error)(void*, const char*, const char*));
  GuardedBlock& add(std::size_t bytes, bool on_device);

  inline static Allocations* active_ = nullptr;
  Allocations* previous_;
  DeviceMemory& device_;
  DeviceMemory& host_;
  std::uint32_t poison_;
  std::function<void(const GuardedBlock&)> on_device_block_;
  std::vector<std::unique_ptr<GuardedBlock>> blocks_;
};

}  // namespace dsv4
