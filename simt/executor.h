/// The executor runs the threads of a kernel launch on the host, one block after the other; the blocks of a cluster run
/// together. A CUDA thread runs as a fiber, which has its own stack and a saved context. One fiber runs at a time, on
/// the OS thread that launched the kernel. The executor switches to another fiber where a thread must wait: at a block
/// barrier, in a warp collective whose other lanes have not arrived, and at `griddepcontrol.wait`. It may also switch
/// at atomics (`atomic_point`). A thread that never waits needs no switch, because its fiber then runs the next thread
/// that has not started. Every module of a host set has its own copy of the executor and of the state below. If several
/// OS threads launch kernels of one module, the launches run one after another.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Nothing in this file may be exported: two modules in one process must not share an executor.
#pragma GCC visibility push(hidden)

// The index variables that a kernel reads. They are set at every switch to another thread.
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

/// The operation in which a thread waits. Threads that wait for each other must be in the same operation, as on a GPU.
/// In kGridDependency, a thread does not wait for other threads of the block, but for the stream's previous kernel.
enum class Collective : std::uint8_t {
  kGridDependency,
  kClusterBarrier,
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
  kElect,
};

struct Fiber;

/// One warp collective in progress. Each lane stores its value and waits until every lane that the mask names has
/// arrived or ended.
struct Exchange {
  std::uint32_t mask;
  std::uint32_t arrived;
  std::uint32_t unread;  ///< lanes that took part and have not called `leave` yet
  Collective operation;
  std::uint64_t value[kWarpLanes];
  Fiber* waiting[kWarpLanes];
};

/// The state that inlined device functions use.
struct Executor {
  unsigned lane = 0;  ///< lane of the running thread
  unsigned warp = 0;
  unsigned atomics_until_yield = 1;
  std::uint64_t seed = 0;
};
extern Executor executor;

/// Stores `value` as the running thread's value and waits for the other lanes of `mask`. The returned exchange is valid
/// until the caller calls `leave`.
Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value);
void leave(Exchange& exchange);

/// Waits for all threads of the block. kBarrierCount returns the number of threads with a true predicate. kBarrierAnd
/// returns whether all predicates are true; kBarrierOr returns whether at least one is true.
int barrier(Collective form, bool predicate);

/// Waits until the stream's previous kernel has ended.
void wait_for_predecessor();

/// Lets the stream's next kernel begin.
void trigger();

/// Waits for all threads of the cluster. Without a cluster launch, the cluster is the block.
void cluster_barrier();
unsigned cluster_rank();    ///< number of the running block in its cluster
unsigned cluster_blocks();  ///< number of blocks in a cluster
/// Returns the address at which the running block sees a shared variable of block `rank`. `address` is the running
/// block's own variable.
void* map_shared(const void* address, unsigned rank);

/// Copies global memory to shared memory asynchronously, and then reports `bytes` to the memory barrier `mbarrier`
/// (ptx.h). Until a thread tests this barrier, `to` holds undefined values.
void bulk_copy(void* to, const void* from, std::uint32_t bytes, std::uint64_t* mbarrier);
/// Ends the copies that report to `mbarrier`.
void end_bulk_copies(std::uint64_t* mbarrier);

/// Lets another thread run first, if one can run.
void yield();
void after_many_atomics();

/// Every atomic calls this function. Sometimes it lets another thread run. With a seed it does so at random, without a
/// seed only after thousands of atomics in succession. Otherwise a thread that reads a flag in a loop would prevent the
/// other thread from setting it.
inline void atomic_point() {
  if (--executor.atomics_until_yield == 0) after_many_atomics();
}

/// Returns the value that the executor uses where CUDA leaves a value undefined. It depends on the seed. So if a result
/// depends on an undefined value, the result changes with the seed.
std::uint32_t undefined_word();

/// Ends the launch with an error. `code` is a cudaError_t. The message names the kernel, the block and the thread,
/// followed by `what`.
[[noreturn]] void fail_kernel(int code, std::string&& what);

/// Returns the block's dynamic shared memory. `T` may be an array type: `dynamic_shared<int[64]>()` has the type
/// `int (*)[64]`.
void* dynamic_shared_memory();
template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(dynamic_shared_memory());
}

/// A launch whose configuration has been checked. `run` calls `invoke(arguments)` once for each thread. `run` returns a
/// cudaError_t; if it is an error, `last_fault()` returns the text.
struct LaunchRequest {
  const void* kernel;  ///< the kernel's address, for messages and attributes
  dim3 grid;
  dim3 block;
  dim3 cluster;  ///< blocks of a cluster; they divide the grid evenly
  std::size_t dynamic_shared_bytes;
  bool dependent;  ///< programmatic dependent launch: it may begin before the stream's previous kernel has ended
  void (*invoke)(const void* arguments);
  const void* arguments;
};
int run(const LaunchRequest& request);

/// Sets the seed of the schedule. With 0, blocks and threads run in their natural order. Any other seed shuffles the
/// blocks, the order in which threads start, and the choice of the next thread. It also decides at which atomics
/// another thread may run. Each call of `configure` restarts the random sequence. So equal launches after equal
/// `configure` calls run in the same order.
void configure(std::uint64_t seed);

/// Simulates that the stream's previous kernel is still writing this memory when a launch begins (overlap.h). Before
/// that kernel, the memory held the bytes at `earlier`. This is so for all launches until `no_predecessor` is called.
void add_predecessor(void* address, std::size_t bytes, const void* earlier);
void no_predecessor();

/// Watches memory: records which of its bytes a launch writes after its trigger (trigger.h). This is so for all
/// launches until `no_watch` is called, which also removes the records.
void watch(void* address, std::size_t bytes);
void no_watch();
/// Tells the watch that the stream does work that is not a kernel.
void watch_other_work();

}  // namespace simt

#pragma GCC visibility pop
