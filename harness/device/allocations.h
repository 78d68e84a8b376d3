/// What a module allocates during a call.
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "harness/device/memory.h"

namespace dsv4 {

/// While one of these lives, tensors that a module asks its TVM-FFI environment for (returned plans, workspaces) are
/// blocks of it: guarded like the arguments, and alive until the call is checked.
class Allocations {
 public:
  /// `on_device_block` is called for each block on the device as it is made.
  Allocations(DeviceMemory& device, DeviceMemory& host, std::uint32_t poison,
              std::function<void(const GuardedBlock&)> on_device_block = {});
  ~Allocations();
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  /// To be called before anything of the blocks is looked at: until then they are armed (Block::arm).
  void disarm();
  [[nodiscard]] const std::vector<std::unique_ptr<GuardedBlock>>& blocks() const { return blocks_; }
  /// The block that `address` lies in; nullptr if there is none.
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
