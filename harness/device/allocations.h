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

/// While an object of this class exists, it allocates the tensors that a module requests from its TVM-FFI environment:
/// returned plans and workspaces. Each tensor has a block with guard bands, as an argument has. The block lives as long
/// as this object, so that the block can be checked after the call.
class Allocations {
 public:
  struct Options {
    std::uint32_t poison = 0;
    Surround on_device = Surround::kBands;  ///< what surrounds memory on the device
    Surround on_host = Surround::kBands;
  };
  /// `on_block` is called for each new block before the block is armed (MemoryBlock::arm).
  Allocations(DeviceMemory& device, DeviceMemory& host, const Options& options,
              std::function<void(const GuardedBlock&, bool on_device)> on_block = {});
  ~Allocations();
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;

  /// Call this before reading any block. Until this call the blocks are armed.
  void disarm();
  [[nodiscard]] const std::vector<std::unique_ptr<GuardedBlock>>& blocks() const { return blocks_; }
  /// The block whose payload contains `address`; nullptr if there is none.
  [[nodiscard]] const GuardedBlock* find(const std::uint8_t* address) const;

 private:
  static int allocate(DLTensor* prototype, DLManagedTensorVersioned** out, void* error_context,
                      void (*set_error)(void*, const char*, const char*));
  GuardedBlock& add(std::size_t bytes, bool on_device);

  inline static Allocations* active_ = nullptr;
  Allocations* previous_ = active_;
  DeviceMemory& device_;
  DeviceMemory& host_;
  Options options_;
  std::function<void(const GuardedBlock&, bool on_device)> on_block_;
  std::vector<std::unique_ptr<GuardedBlock>> blocks_;
};

}  // namespace dsv4
