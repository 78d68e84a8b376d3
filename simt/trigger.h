/// Records what a launch writes after its trigger: the instruction `griddepcontrol.launch_dependents`, with which a
/// block lets the stream's next kernel begin. The next kernel may begin when every block of the launch has triggered
/// or ended. A write after the trigger may come too late for it, unless it waits (`griddepcontrol.wait`). By the PTX
/// definition, the first trigger of any thread counts for the whole block.
///
/// If no memory is watched, this class has no effect.
#pragma once

#include <cstddef>
#include <vector>

#pragma GCC visibility push(hidden)

namespace simt {

class TriggerWatch {
 public:
  /// The writes of all launches of one kernel to one watched memory, after the blocks' triggers.
  struct LateWrites {
    const void* kernel;            ///< the kernel's address; fault.h gives its name
    const unsigned char* address;  ///< start of the watched memory
    std::size_t bytes;             ///< number of bytes that changed, over all blocks and launches
    std::size_t first;             ///< offset of the first one that was found
  };

  /// Watches `bytes` bytes at `address`.
  void add(unsigned char* address, std::size_t bytes);
  void clear();
  bool active() const { return !regions_.empty(); }

  /// If `dependent`, the launch may begin before its predecessor, the stream's previous kernel, has ended.
  void begin_launch(bool dependent);
  void end_launch();
  /// The stream does work that is not a kernel, such as a copy. It begins after all kernels have ended.
  void end_kernels();
  void begin_block() { triggered_ = false; }
  /// A thread of the block waits for the predecessor.
  void wait() {
    if (!triggered_) predecessor_ended_ = true;
  }
  /// A thread of the block triggers.
  void trigger();
  void end_block(const void* kernel);

  const std::vector<LateWrites>& late_writes() const { return late_writes_; }
  /// For each byte of the memory at `address`: 1 if the stream's next kernel may begin before the byte is written.
  /// nullptr if this memory is not watched.
  const std::vector<unsigned char>* late_bytes(const void* address) const;

 private:
  struct Region {
    unsigned char* address;
    std::vector<unsigned char> at_trigger;  ///< content when the block triggered
    std::vector<unsigned char> late;        ///< of this launch; of the last launch after end_launch()
    std::vector<unsigned char> before;      ///< `late` of the launch before
  };
  void note(const void* kernel, const Region& region, std::size_t bytes, std::size_t first);

  std::vector<Region> regions_;
  std::vector<LateWrites> late_writes_;
  bool triggered_ = false;
  bool predecessor_ended_ = true;  ///< when the next kernel may begin, the predecessor of this launch has ended
};

}  // namespace simt

#pragma GCC visibility pop
