/// The scheduler runs one launch at a time. It holds the blocks and the fibers of their threads, chooses the next
/// thread, and implements the operations in which threads wait. Each module has one scheduler.
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
  void begin_block(std::uint64_t block);
  int end_block();
  void shuffle_threads();
  bool start_next();
  void end_thread();
  void wait(Collective operation, std::uint32_t mask);
  /// Puts `fiber` into the queue of threads that can continue: at its front if `first`, otherwise at its end.
  void wake(Fiber* fiber, bool first) {
    fiber->waiting = false;
    atomics_since_progress_ = 0;
    first ? runnable_.push_front(fiber) : runnable_.push(fiber);
  }
  /// If `prefer_new`, threads that have not started run before threads that waited.
  void switch_away(bool prefer_new = false);
  /// Switches from the running fiber to `next`.
  void go(Fiber& next);
  void set_running(const Fiber& fiber);
  Fiber& idle_fiber();
  void release_barrier();
  void end_predecessor();
  /// Wakes the lanes that wait in the collective `warp.open[slot]`.
  void complete(Warp& warp, unsigned slot);
  void discard_fibers();
  [[noreturn]] void end_launch_with(int code, std::string&& text);

  std::uint64_t random() { return mix(random_state_++); }
  bool shuffled() const { return executor.seed != 0; }
  bool fair() const { return policy_ == Policy::kFair; }
  void reset_atomics();

  const LaunchRequest* request_ = nullptr;
  Fiber launcher_;
  Fiber* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  RunQueue runnable_;
  SharedMemory shared_;

  Policy policy_ = Policy::kNatural;
  unsigned threads_ = 0;  ///< threads of a block
  unsigned unstarted_ = 0;
  unsigned ended_ = 0;
  unsigned atomics_in_a_row_ = 1;
  std::uint64_t atomics_since_progress_ = 0;
  std::array<std::uint16_t, kMaxThreads> order_{};  ///< order in which threads start

  struct Barrier {
    Collective form = Collective::kBarrier;
    unsigned arrived = 0;
    unsigned agreed = 0;  ///< arrived threads whose predicate is true
    unsigned result = 0;  ///< result of the barrier that was released last
    unsigned voters = 0;  ///< threads that arrived at the barrier that was released last
    std::array<Fiber*, kMaxThreads> waiting{};
  } barrier_;
  std::array<Warp, kMaxThreads / kWarpLanes> warps_{};
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_exchanges_;

  std::vector<Fiber*> waiting_for_predecessor_;

  std::uint64_t random_state_ = 0;
  std::uint64_t launches_ = 0;  ///< number of launches since `configure`
};

/// The scheduler of this module.
Scheduler& scheduler();

}  // namespace simt

#pragma GCC visibility pop
