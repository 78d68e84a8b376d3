/// Parts of the scheduler that do not depend on a launch: the queue of threads, the open collectives of a warp, the
/// policies by which the next thread is chosen, and the state of a block.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "simt/executor.h"
#include "simt/fiber.h"

#pragma GCC visibility push(hidden)

namespace simt {

/// The hash splitmix64. The scheduler uses it as a cheap, reproducible sequence of random numbers.
inline std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

struct Warp {
  std::uint32_t ended = 0;  ///< lanes that ended or never existed
  unsigned open_count = 0;
  std::array<Exchange*, kWarpLanes> open{};  ///< collectives in which not all lanes have arrived
};

/// The threads that can continue. `pop(0)` returns the first one. Another `choice` returns the thread at that position,
/// modulo the length of the queue.
class RunQueue {
 public:
  bool empty() const { return count_ == 0; }
  void clear() { head_ = count_ = 0; }
  void push(Fiber* fiber) { slots_[(head_ + count_++) % slots_.size()] = fiber; }
  void push_front(Fiber* fiber) {
    head_ = (head_ + static_cast<unsigned>(slots_.size()) - 1) % static_cast<unsigned>(slots_.size());
    ++count_;
    slots_[head_] = fiber;
  }
  Fiber* pop(unsigned choice) {
    std::swap(slots_[head_], slots_[(head_ + choice % count_) % slots_.size()]);
    Fiber* fiber = slots_[head_];
    head_ = (head_ + 1) % static_cast<unsigned>(slots_.size());
    --count_;
    return fiber;
  }

 private:
  std::array<Fiber*, kMaxThreads> slots_{};
  unsigned head_ = 0;
  unsigned count_ = 0;
};

/// How the next thread is chosen. If a seed is set, each block gets kFair or kWarpByWarp at random. kFair finds
/// errors that depend on the order of neighbouring threads. kWarpByWarp finds errors that occur only if one warp is
/// far behind another.
enum class Policy {
  kNatural,     ///< the threads in their natural order
  kFair,        ///< any thread
  kWarpByWarp,  ///< one warp until it must wait for the block, then another warp; the order of the warps is shuffled
};

/// The threads that have arrived at a barrier.
struct Barrier {
  Collective form = Collective::kBarrier;
  unsigned arrived = 0;
  unsigned agreed = 0;  ///< arrived threads whose predicate is true
  unsigned result = 0;  ///< result of the barrier that was released last
  unsigned voters = 0;  ///< threads that arrived at the barrier that was released last
  std::array<Fiber*, kMaxThreads> waiting{};
};

/// A block that runs. The blocks of a cluster run together, so there is one of these for each of them.
struct Block {
  unsigned rank = 0;  ///< number in the cluster
  uint3 index{};
  Policy policy = Policy::kNatural;
  unsigned unstarted = 0;
  unsigned ended = 0;
  bool triggered = false;                          ///< a thread has let the stream's next kernel begin
  std::array<std::uint16_t, kMaxThreads> order{};  ///< order in which threads start
  RunQueue runnable;
  Barrier barrier;
  Barrier cluster_barrier;
  std::array<Warp, kMaxThreads / kWarpLanes> warps{};

  bool can_continue() const { return unstarted != 0 || !runnable.empty(); }
};

}  // namespace simt

#pragma GCC visibility pop
