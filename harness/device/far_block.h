/// Memory of far arguments: tensors that are spread out on a device as Arg::far_layout says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"
#include "harness/device/memory.h"

namespace dsv4 {

/// The memory of a tensor that is spread out. A block is reserved for the whole far layout. Only the places of the
/// tensor's elements, and the guard bands around these places, are opened and filled. A wrong write to a guard band is
/// found as in any block. On a host, a wrong access to the rest of the block is a segmentation fault. Nothing is filled
/// before the first write().
class FarBlock final : public MemoryBlock {
 public:
  /// Throws Error if the tensor does not fit its far layout, and Unavailable if there is too little memory. `name` is
  /// the argument's name.
  FarBlock(DeviceMemory& memory, const std::string& name, const HostTensor& tensor, const FarLayout& far_layout,
           std::uint32_t poison, std::size_t misalign = 0);
  ~FarBlock() override;

  [[nodiscard]] void* payload() const override { return base_.get() + before_; }
  [[nodiscard]] std::size_t bytes() const override { return bytes_; }
  void write(const std::vector<std::uint8_t>& image) override;
  [[nodiscard]] std::vector<std::uint8_t> read() const override;
  void arm() override;
  void disarm() override;
  void check(const std::string& name, std::vector<Finding>& findings) const override;

 private:
  /// A range of bytes that is contiguous both in the tensor's storage and in the block.
  struct Run {
    std::size_t from;  ///< offset in the storage
    std::size_t to;    ///< offset in the block
    std::size_t bytes;
  };
  /// Adjacent open pages of the block. They hold runs, and guard bands before, between and after the runs.
  struct Island {
    std::size_t begin;
    std::size_t end;
    std::vector<Run> runs;
  };
  struct Release {
    DeviceMemory* memory;
    void operator()(std::uint8_t* block) const { memory->release(block); }
  };

  static std::vector<Run> runs_of(const HostTensor& tensor, const FarLayout& far_layout, std::size_t before);
  void add(const Run& run, std::size_t all);
  [[nodiscard]] std::vector<std::uint8_t> download(const Island& island) const;
  /// Calls visit(begin, end) for each part of the island that belongs to no run. `begin` and `end` are offsets in
  /// the block.
  template <class Visit>
  static void for_each_gap(const Island& island, Visit visit);

  DeviceMemory& memory_;
  std::size_t bytes_ = 0;
  std::size_t before_;
  std::uint32_t poison_;
  std::vector<Island> islands_;
  std::unique_ptr<std::uint8_t, Release> base_;
  std::vector<std::uint8_t> written_;
};

}  // namespace dsv4
