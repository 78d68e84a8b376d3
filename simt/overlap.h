/// Programmatic dependent launch: memory that the stream's previous kernel is still writing when a launch begins.
///
/// A kernel that is launched with this attribute may run at the same time as its predecessor. Only
/// `griddepcontrol.wait` promises that the predecessor's writes are there. Here the predecessor is as slow as possible.
/// Until a block has waited, each region that was added keeps its content from before the predecessor. What the block
/// writes into a region is lost, because the predecessor still writes there. So a read or a write that comes too early
/// gives a wrong answer on every run. If no region was added, nothing changes.
#pragma once

#include <cstddef>
#include <vector>

#pragma GCC visibility push(hidden)

namespace simt {

class Overlap {
 public:
  /// The predecessor of the next launch is about to write these bytes. They already hold what it will write. Before the
  /// predecessor, they held the bytes at `earlier`.
  void add(unsigned char* address, std::size_t bytes, const unsigned char* earlier);
  void clear() { regions_.clear(); }

  /// If `dependent`, the launch may begin before its predecessor has ended.
  void begin_launch(bool dependent);
  void begin_block();
  /// The predecessor ends, so its writes are there.
  void end_predecessor();
  void end_block();

  /// True while the predecessor's writes are not there for the block that runs.
  bool pending() const { return pending_; }

 private:
  struct Region {
    unsigned char* address;
    std::vector<unsigned char> before;  ///< content before the predecessor
    std::vector<unsigned char> after;   ///< content after the predecessor; used while pending
    std::vector<unsigned char> start;   ///< content when the launch began; it becomes the next launch's `before`
    bool of_a_launch = false;           ///< the predecessor is a launch of this module, so what it wrote is known
  };
  std::vector<Region> regions_;
  bool dependent_ = false;
  bool pending_ = false;
};

}  // namespace simt

#pragma GCC visibility pop
