/// The executor: runs the threads of a kernel launch on the host, one block after the other.
///
/// A CUDA thread is a fiber (a stack of its own and a saved context). One fiber runs at a time, on the OS thread that
/// launched; another gets its turn only where a thread cannot go on: at a block barrier, or at a warp collective whose
/// other lanes have not arrived. A thread that never waits costs no switch, because the fiber that ran it simply takes
/// the next thread that has not started.
///
/// The state below is per module, not per process: every module of a host set carries its own copy of the executor.
/// Launches from several OS threads take turns.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Nothing in here may be exported: two modules in one process must not share an executor.
#pragma GCC visibility push(hidden)

// What a kernel sees of itself. Set at every switch.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

namespace simt {

inline constexpr unsigned kWarpLanes = 32;
inline constexpr unsigned kMaxThreads = 1024;
inline constexpr std::size_t kDefaultSharedBytes = 48 * 1024;
inline constexpr std::size_t kMaxSharedBytes = 227 * 1024;  ///< what a kernel may opt in to on sm_90

/// Why a thread waits. Threads meet only in the same operation, as a GPU has them; in the first they do not meet at
/// all.
enum class Collective : std::uint8_t {
  kGridDependency,
  kBarrier,
  kBarrierCount,
  kBarrierAnd,
  kBarrierOr,
  kSyncWarp,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kUni,
  kMatchAny,
  kMatchAll,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
};

struct Fiber;

/// One warp collective in progress: lanes put their value in and wait until every lane that the mask names has arrived
/// or ended.
struct Exchange {
  std::uint32_t mask;
  std::uint32_t arrived;
  std::uint32_t unread;  ///< participants that have not yet left
  Collective operation;
  std::uint64_t value[kWarpLanes];
  Fiber* waiting[kWarpLanes];
};

/// State that inlined device functions touch.
struct Executor {
  unsigned lane = 0;  ///< of the running thread
  unsigned warp = 0;
  unsigned atomics_until_yield = 1;
  std::uint64_t seed = 0;
};
extern Executor executor;

/// Puts `value` in for the running thread and waits for the other lanes of `mask`. The exchange stays valid until the
/// caller has called `leave`.
Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value);
void leave(Exchange& exchange);

/// Waits for the block. Returns, for the counting forms, how many threads gave a true predicate, or whether all or any
/// did.
int barrier(Collective form, bool predicate);

/// Waits until the stream's previous kernel has ended.
void wait_for_predecessor();

/// Lets another thread go first, if there is one that can.
void yield();
void after_many_atomics();

/// Called by every atomic: now and then another thread gets its turn. Under a seed this happens at random; without one
/// only after thousands in a row, so that a thread that spins on a flag sees another set it.
inline void atomic_point() {
  if (--executor.atomics_until_yield == 0) after_many_atomics();
}

/// What is read where CUDA leaves a value undefined. Depends on the seed, so that a result which depends on it changes
/// from run to run.
std::uint32_t undefined_word();

/// Ends the launch with an error: `code` is a cudaError_t, `what` is appended to kernel, block and thread.
[[noreturn]] void fail_kernel(int code, std::string&& what);

/// The block's dynamic shared memory; `T` may be an array type: `dynamic_shared<int[64]>()` is an `int (*)[64]`.
void* dynamic_shared_memory();
template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(dynamic_shared_memory());
}

/// One launch, checked: runs `invoke(arguments)` once per thread. Returns a cudaError_t; `last_fault()` has the text.
struct LaunchRequest {
  const void* kernel;  ///< for messages and attributes
  dim3 grid;
  dim3 block;
  std::size_t dynamic_shared_bytes;
  bool dependent;  ///< programmatic dependent launch: may begin before the stream's previous kernel has ended
  void (*invoke)(const void* arguments);
  const void* arguments;
};
int run(const LaunchRequest& request);

/// Seed of the schedule: 0 runs blocks and threads in their natural order, any other value shuffles which block comes
/// next, in what order threads start, which waiting thread goes on, and where atomics give way. Also restarts the
/// sequence, so that equal calls after equal `configure` calls behave alike.
void configure(std::uint64_t seed);

/// From now on, until `no_predecessor`, calls find this memory still being written by a kernel ahead of them in the
/// stream (overlap.h): before that kernel it held the bytes at `earlier`.
void add_predecessor(void* address, std::size_t bytes, const void* earlier);
void no_predecessor();

}  // namespace simt

#pragma GCC visibility pop
