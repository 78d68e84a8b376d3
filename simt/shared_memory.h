/// Shared memory of the running block. `__shared__` variables are `thread_local`, so the module's thread-local segment
/// holds these variables and nothing else. Dynamic shared memory is one buffer between two guard bands. The buffer has
/// exactly the number of bytes that the launch asks for. Both kinds are filled with a pattern before every block,
/// because on a GPU they hold values that earlier blocks left there.
///
/// Each block of a cluster has its own buffer. Their static variables have the same addresses, so the segment holds
/// those of the block that runs. While a block does not run, its static variables lie in a copy at a fixed address,
/// which the other blocks of the cluster use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#pragma GCC visibility push(hidden)

namespace simt {

class SharedMemory {
 public:
  ~SharedMemory() { end_launch(); }

  /// Sets the size of dynamic shared memory, and the number of blocks of a cluster, for the launch that begins.
  void begin_launch(std::size_t dynamic_bytes, unsigned cluster_blocks);
  /// Fills static and dynamic shared memory of all blocks of a cluster with `pattern`. Block 0 runs.
  void begin_cluster(std::uint32_t pattern);
  /// Makes the shared memory of block `rank` that of the running block.
  void enter(unsigned rank);
  /// Returns the address of the variable of block `rank` that corresponds to the running block's variable at `address`,
  /// or nullptr if there is no shared memory at `address`.
  void* of_block(const void* address, unsigned rank) const;
  /// A changed guard byte.
  struct Damage {
    unsigned rank;          ///< of the block in its cluster
    std::ptrdiff_t offset;  ///< from the start of the block's dynamic shared memory
  };
  /// Returns a changed guard byte, if there is one. Changes above a buffer are found before changes below it.
  std::optional<Damage> damaged_guard() const;
  void end_launch();

  void* dynamic() const { return blocks_[running_].dynamic; }

 private:
  struct Free {
    void operator()(char* memory) const;
  };
  using Memory = std::unique_ptr<char, Free>;
  struct OfBlock {
    Memory buffer;
    char* dynamic = nullptr;
    Memory statics;  ///< static variables while the block does not run; only in clusters
  };
  static Memory allocate(std::size_t bytes);

  std::vector<OfBlock> blocks_;  ///< of a cluster; more than `count_` if an earlier launch had a larger cluster
  unsigned count_ = 0;
  unsigned running_ = 0;
  std::size_t dynamic_bytes_ = 0;
};

}  // namespace simt

#pragma GCC visibility pop
