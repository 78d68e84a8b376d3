/// The executor: runs the threads of a kernel launch on the host, one block after the other.
///
/// A CUDA thread is a fiber (its own stack and a saved context). One fiber runs at a time, on the OS thread that
/// launched the kernel. The executor switches where a thread cannot go on: at a block barrier, or at a warp collective
/// whose other lanes have not arrived. It may also switch at atomics (`atomic_point`). A thread that never waits costs
/// no switch, because its fiber then runs the next thread that has not started.
///
/// The state below is per module, not per process: every module of a host set has its own copy of the executor.
/// Launches from several OS threads take turns.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Nothing in this file may be exported: two modules in one process must not share an executor.
#pragma GCC visibility push(hidden)

// The index variables that a kernel reads. They are set at every switch.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

namespace simt {

inline constexpr unsigned kWarpLanes = 32;
inline constexpr unsigned kMaxThreads = 1024;
inline constexpr std::size_t kDefaultSharedBytes = 48 * 1024;
inline constexpr std::size_t kMaxSharedBytes = 227 * 1024;  ///< the limit that a kernel may set on sm_90

/// The operation in which a thread waits. Threads can meet only in the same operation, as on a GPU. In the first one
/// they do not meet at all.
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

/// One warp collective in progress. Each lane stores its value and waits until every lane that the mask names has
/// arrived or ended.
struct Exchange {
  std::uint32_t mask;
  std::uint32_t arrived;
  std::uint32_t unread;  ///< participants that have not yet left
  Collective operation;
  std::uint64_t value[kWarpLanes];
  Fiber* waiting[kWarpLanes];
};

/// State that inlined device functions use.
struct Executor {
  unsigned lane = 0;  ///< lane of the running thread
  unsigned warp = 0;
  unsigned atomics_until_yield = 1;
  std::uint64_t seed = 0;
};
extern Executor executor;

/// Stores `value` for the running thread and waits for the other lanes of `mask`. The exchange stays valid until the
/// caller has called `leave`.
Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value);
void leave(Exchange& exchange);

/// Waits for the block. kBarrierCount returns how many threads gave a true predicate. kBarrierAnd and kBarrierOr return
/// whether all threads did, or any.
int barrier(Collective form, bool predicate);

/// Waits until the stream's previous kernel has ended.
void wait_for_predecessor();

/// Lets another thread run first, if one can run.
void yield();
void after_many_atomics();

/// Every atomic calls this. Sometimes it lets another thread run: under a seed at random, without a seed only after
/// thousands of atomics in a row. Otherwise a thread that spins on a flag would never see another thread set it.
inline void atomic_point() {
  if (--executor.atomics_until_yield == 0) after_many_atomics();
}

/// The value that is read where CUDA leaves a value undefined. It depends on the seed, so a result that depends on it
/// changes from seed to seed.
std::uint32_t undefined_word();

/// Ends the launch with an error: `code` is a cudaError_t, `what` is the text that follows the kernel, the block
/// and the thread.
[[noreturn]] void fail_kernel(int code, std::string&& what);

/// The block's dynamic shared memory. `T` may be an array type: `dynamic_shared<int[64]>()` is an `int (*)[64]`.
void* dynamic_shared_memory();
template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(dynamic_shared_memory());
}

/// A launch whose configuration has been checked. `run` calls `invoke(arguments)` once per thread. It returns a
/// cudaError_t, and `last_fault()` has the text.
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

/// Sets the seed of the schedule. With 0, blocks and threads run in their natural order. Any other seed shuffles
/// the blocks, the order in which threads start, and the choice of the next thread. It also decides at which
/// atomics another thread may run. Each call restarts the sequence, so that equal calls after equal `configure`
/// calls behave alike.
void configure(std::uint64_t seed);

/// From now on until `no_predecessor`, launches find that the stream's previous kernel is still writing this memory
/// (overlap.h). Before that kernel, the memory held the bytes at `earlier`.
void add_predecessor(void* address, std::size_t bytes, const void* earlier);
void no_predecessor();

}  // namespace simt

#pragma GCC visibility pop
