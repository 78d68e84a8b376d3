/// Programmatic dependent launch: what the stream's previous kernel is still writing when a launch begins.
///
/// A kernel that is launched with the attribute may run beside its predecessor, and only `griddepcontrol.wait` promises
/// that the predecessor's writes are there. Here the predecessor is as slow as it can be. Until a block has waited,
/// each region of memory that was named holds what it held before the predecessor began, and what the block writes into
/// it is lost, because the predecessor still writes there. So a read or a write that comes too early is a wrong answer
/// on every run. Without a region nothing of this happens.
#pragma once

#include <cstddef>
#include <vector>

#pragma GCC visibility push(hidden)

namespace simt {

class Overlap {
 public:
  /// A kernel ahead of the next launch is about to write these bytes, which hold already what it writes; before it,
  /// they were `earlier`.
  void add(unsigned char* address, std::size_t bytes, const unsigned char* earlier);
  void clear() { regions_.clear(); }

  /// `dependent`: the launch may begin before its predecessor has ended.
  void begin_launch(bool dependent);
  void begin_block();
  /// The predecessor ends: what it wrote is there.
  void end_predecessor();
  void end_block();

  /// True while the block that runs must not rely on the predecessor.
  bool pending() const { return pending_; }

 private:
  struct Region {
    unsigned char* address;
    std::vector<unsigned char> before;  ///< what it held before the predecessor
    std::vector<unsigned char> after;   ///< what it holds once the predecessor has ended; of use while pending
    std::vector<unsigned char> start;   ///< what it held when the launch began: the next launch's `before`
    bool of_a_launch = false;           ///< the predecessor is a launch of this module, so what it wrote is known
  };
  std::vector<Region> regions_;
  bool dependent_ = false;
  bool pending_ = false;
};

}  // namespace simt

#pragma GCC visibility pop
