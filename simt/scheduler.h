/// The scheduler runs one launch at a time. It holds the blocks and the fibers of their threads, chooses the next
/// thread, and implements the operations in which threads wait. Each module has one scheduler.
///
/// Clusters run one after another. The blocks of a cluster take turns: a block runs until none of its threads can
/// continue, and then another block that can continue runs. A launch without clusters has clusters of one block.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "simt/executor.h"
#include "simt/fiber.h"
#include "simt/overlap.h"
#include "simt/schedule.h"
#include "simt/shared_memory.h"
#include "simt/trigger.h"

#pragma GCC visibility push(hidden)

namespace simt {

class Scheduler {
 public:
  int run(const LaunchRequest& request);

  Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value);
  void leave(Exchange& exchange);
  int barrier(Collective form, bool predicate);
  void wait_for_predecessor();
  void trigger();
  // cluster.cpp
  void cluster_barrier();
  unsigned cluster_rank() const { return block_->rank; }
  unsigned cluster_blocks() const { return count_; }
  void* map_shared(const void* address, unsigned rank);
  void bulk_copy(void* to, const void* from, std::uint32_t bytes, std::uint64_t* mbarrier);
  void end_bulk_copies(std::uint64_t* mbarrier);
  /// Lets another thread run first. Adds `atomics` to the number of atomics without progress. If it is too large, the
  /// launch fails.
  void yield(unsigned atomics);
  void after_many_atomics() { yield(atomics_in_a_row_); }
  [[noreturn]] void fail(int code, std::string&& what);
  bool in_kernel() const { return current_ != nullptr && current_ != &launcher_; }
  void* dynamic_shared() { return shared_.dynamic(); }
  void configure(std::uint64_t seed);

  std::mutex mutex;
  Overlap overlap;
  TriggerWatch watch;

 private:
  static void fiber_main();
  void run_threads();
  void begin_cluster(std::uint64_t cluster);
  void begin_block(Block& block);
  int end_cluster();
  void shuffle_threads(Block& block);
  bool start_next();
  void end_thread();
  void wait(Collective operation, std::uint32_t mask);
  /// Puts `fiber` into the queue of threads that can continue: at its front if `first`, otherwise at its end.
  void wake(Fiber* fiber, bool first) {
    fiber->waiting = false;
    atomics_since_progress_ = 0;
    RunQueue& runnable = blocks_[fiber->block]->runnable;
    first ? runnable.push_front(fiber) : runnable.push(fiber);
  }
  void wake_all(Block& block, Barrier& barrier);
  /// If `prefer_new`, threads that have not started run before threads that waited.
  void switch_away(bool prefer_new = false);
  /// Switches from the running fiber to `next`.
  void go(Fiber& next);
  void set_running(const Fiber& fiber);
  Fiber& idle_fiber();
  void release_barrier();
  void end_predecessor();
  /// Makes another block of the cluster the running one, if one can continue. Returns whether it did.
  bool enter_other_block();
  void enter(Block& block);
  void release_cluster_barrier();
  unsigned ended() const;  ///< threads of the cluster that have ended
  unsigned all_threads() const { return threads_ * count_; }
  void note_trigger();
  /// Wakes the lanes that wait in the collective `warp.open[slot]`.
  void complete(Warp& warp, unsigned slot);
  void discard_fibers();
  [[noreturn]] void end_launch_with(int code, std::string&& text);

  std::uint64_t random() { return mix(random_state_++); }
  bool shuffled() const { return executor.seed != 0; }
  bool fair() const { return block_->policy == Policy::kFair; }
  void reset_atomics();

  const LaunchRequest* request_ = nullptr;
  Fiber launcher_;
  Fiber* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  SharedMemory shared_;

  unsigned threads_ = 0;                        ///< threads of a block
  unsigned count_ = 1;                          ///< blocks of a cluster
  std::vector<std::unique_ptr<Block>> blocks_;  ///< of the cluster; more if an earlier launch had a larger cluster
  Block* block_ = nullptr;                      ///< the block that runs
  unsigned atomics_in_a_row_ = 1;
  std::uint64_t atomics_since_progress_ = 0;

  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_exchanges_;

  std::vector<Fiber*> waiting_for_predecessor_;

  /// A bulk copy that no thread has waited for. The bytes were read when the copy began.
  struct BulkCopy {
    unsigned rank;  ///< of the block; static variables have the same address in every block
    char* to;
    std::vector<char> bytes;
    const std::uint64_t* mbarrier;
  };
  std::vector<BulkCopy> bulk_copies_;

  std::uint64_t random_state_ = 0;
  std::uint64_t launches_ = 0;  ///< number of launches since `configure`
};

/// The scheduler of this module.
Scheduler& scheduler();

}  // namespace simt

#pragma GCC visibility pop
