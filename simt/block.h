/// Block barriers, memory fences, sleep and trap, and the waits of programmatic dependent launch.
#pragma once

#include "simt/executor.h"

inline void __syncthreads() { simt::barrier(simt::Collective::kBarrier, false); }
inline int __syncthreads_count(int predicate) { return simt::barrier(simt::Collective::kBarrierCount, predicate != 0); }
inline int __syncthreads_and(int predicate) { return simt::barrier(simt::Collective::kBarrierAnd, predicate != 0); }
inline int __syncthreads_or(int predicate) { return simt::barrier(simt::Collective::kBarrierOr, predicate != 0); }

// One thread runs at a time, so its writes are visible to all other threads. A fence only has to stop the compiler from
// reordering memory accesses.
inline void __threadfence_block() { asm volatile("" ::: "memory"); }
inline void __threadfence() { asm volatile("" ::: "memory"); }
inline void __threadfence_system() { asm volatile("" ::: "memory"); }

inline void __nanosleep(unsigned) { simt::yield(); }
[[noreturn]] inline void __trap() { simt::fail_kernel(719 /* cudaErrorLaunchFailure */, "executed __trap()"); }

namespace simt {

/// griddepcontrol.wait. Before this call, the writes of the stream's previous kernel may not be visible (overlap.h).
inline void grid_dependency_wait() { wait_for_predecessor(); }
/// griddepcontrol.launch_dependents. From this call on, the stream's next kernel may begin (trigger.h).
inline void grid_dependency_launch() { trigger(); }

}  // namespace simt

// CUDA's names for the same two instructions. They are device functions only, which the headers show to nvcc alone.
inline void cudaGridDependencySynchronize() { simt::grid_dependency_wait(); }
inline void cudaTriggerProgrammaticLaunchCompletion() { simt::grid_dependency_launch(); }
