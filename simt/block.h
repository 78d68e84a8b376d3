/// Block barriers, fences and other functions of the whole block.
#pragma once

#include "simt/executor.h"

inline void __syncthreads() { simt::barrier(simt::Collective::kBarrier, false); }
inline int __syncthreads_count(int predicate) { return simt::barrier(simt::Collective::kBarrierCount, predicate != 0); }
inline int __syncthreads_and(int predicate) { return simt::barrier(simt::Collective::kBarrierAnd, predicate != 0); }
inline int __syncthreads_or(int predicate) { return simt::barrier(simt::Collective::kBarrierOr, predicate != 0); }

// One thread runs at a time, so its writes are visible to all others. Only the compiler must keep their order.
inline void __threadfence_block() { asm volatile("" ::: "memory"); }
inline void __threadfence() { asm volatile("" ::: "memory"); }
inline void __threadfence_system() { asm volatile("" ::: "memory"); }

inline void __nanosleep(unsigned) { simt::yield(); }
[[noreturn]] inline void __trap() { simt::fail_kernel(719 /* cudaErrorLaunchFailure */, "executed __trap()"); }

namespace simt {

/// griddepcontrol.wait: before it, the writes of the stream's previous kernel may be missing (overlap.h).
inline void grid_dependency_wait() { wait_for_predecessor(); }
/// griddepcontrol.launch_dependents does nothing: the executor assumes an early start of the next kernel in any case.
inline void grid_dependency_launch() {}

}  // namespace simt
