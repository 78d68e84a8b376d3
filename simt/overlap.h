/// Simulates programmatic dependent launch: memory that the stream's previous kernel is still writing when a launch
/// begins. A kernel that is launched with this attribute may run at the same time as its predecessor, the stream's
/// previous kernel. Only after `griddepcontrol.wait` can it be sure that the predecessor's writes are done. Here the
/// predecessor is as slow as possible. Each region of memory that was added keeps its content from before the
/// predecessor until a block has waited. Values that the block writes into a region before the wait are lost, because
/// the predecessor overwrites them. So a read or a write before the wait gives a wrong result on every run. If no
/// region was added, this class has no effect.
#pragma once

#include <cstddef>
#include <vector>

#pragma GCC visibility push(hidden)

namespace simt {

class Overlap {
 public:
  /// Adds a region that the predecessor of the next launch writes. The region must already hold the bytes that the
  /// predecessor writes. Before the predecessor, it held the bytes at `earlier`.
  void add(unsigned char* address, std::size_t bytes, const unsigned char* earlier);
  void clear() { regions_.clear(); }

  /// If `dependent`, the launch may begin before its predecessor has ended.
  void begin_launch(bool dependent);
  void begin_block();
  /// Ends the predecessor: its writes become visible.
  void end_predecessor();
  void end_block();

  /// True while the block that runs cannot see the predecessor's writes.
  bool pending() const { return pending_; }

 private:
  struct Region {
    unsigned char* address;
    std::vector<unsigned char> before;  ///< content before the predecessor
    std::vector<unsigned char> after;   ///< content after the predecessor; used while pending
    std::vector<unsigned char> start;   ///< content when the launch began; it becomes the next launch's `before`
    bool of_a_launch = false;           ///< the predecessor is a launch of this module: we know what it changed
  };
  std::vector<Region> regions_;
  bool dependent_ = false;
  bool pending_ = false;
};

}  // namespace simt

#pragma GCC visibility pop
