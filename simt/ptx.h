/// The functions of <cuda/ptx> that kernels use: memory barriers (mbarrier) and bulk copies. The set builder replaces
/// the inclusion of <cuda/ptx> by this file, because that header consists of inline assembly.
///
/// A memory barrier is 8 bytes of shared memory. Its phase ends when the expected number of threads has arrived and all
/// announced bytes have been copied. Threads test the parity of a phase. On the host executor, a bulk copy reads its
/// source at once. Its bytes appear at the destination when a thread tests the barrier; before that, the destination
/// holds undefined values. So a kernel that does not wait for a copy computes a wrong result.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "simt/executor.h"

#pragma GCC visibility push(hidden)

namespace simt {

/// The content of a memory barrier. CUDA does not specify it.
struct MemoryBarrier {
  std::uint64_t parity : 1;     ///< of the phase that has not ended
  std::uint64_t expected : 20;  ///< arrivals that a phase expects
  std::uint64_t pending : 20;   ///< arrivals that this phase still expects
  std::int64_t bytes : 23;      ///< announced and not copied; negative if a copy ends before it is announced
};
static_assert(sizeof(MemoryBarrier) == sizeof(std::uint64_t));
inline constexpr std::uint32_t kMostArrivals = (1u << 20) - 1;

/// Changes a memory barrier with `change`, and ends its phase if nothing is pending.
template <typename Change>
void change_memory_barrier(std::uint64_t* address, Change change) {
  MemoryBarrier barrier;
  std::memcpy(&barrier, address, sizeof barrier);
  change(barrier);
  if (barrier.pending == 0 && barrier.bytes == 0) {
    barrier.parity ^= 1u;
    barrier.pending = barrier.expected;
  }
  std::memcpy(address, &barrier, sizeof barrier);
}

inline void initialize_memory_barrier(std::uint64_t* address, std::uint32_t arrivals) {
  if (arrivals == 0 || arrivals > kMostArrivals) {
    fail_kernel(719 /* cudaErrorLaunchFailure */, "initialises a memory barrier for " + std::to_string(arrivals) +
                                                      " arrivals; the range is [1, 1048575]");
  }
  const MemoryBarrier barrier{.parity = 0, .expected = arrivals, .pending = arrivals, .bytes = 0};
  std::memcpy(address, &barrier, sizeof barrier);
}

/// Announces `bytes` bytes, and then arrives.
inline void arrive(std::uint64_t* address, std::uint32_t bytes) {
  change_memory_barrier(address, [bytes](MemoryBarrier& barrier) {
    if (barrier.pending == 0) {
      fail_kernel(719 /* cudaErrorLaunchFailure */, "arrives at a memory barrier whose phase expects no more arrivals");
    }
    barrier.bytes += bytes;
    --barrier.pending;
  });
}

/// Reports that `bytes` bytes have been copied.
inline void complete_bytes(std::uint64_t* address, std::uint32_t bytes) {
  change_memory_barrier(address, [bytes](MemoryBarrier& barrier) { barrier.bytes -= bytes; });
}

/// Returns whether the phase of this parity has ended. If not, another thread runs first.
inline bool try_wait(std::uint64_t* address, std::uint32_t parity) {
  end_bulk_copies(address);
  MemoryBarrier barrier;
  std::memcpy(&barrier, address, sizeof barrier);
  const bool over = barrier.parity != (parity & 1u);
  if (!over) yield();
  return over;
}

/// elect.sync: true in one lane of `mask`. PTX does not say in which one; here it is the lowest.
inline bool elect_sync(std::uint32_t mask) {
  Exchange& exchange = join(mask, Collective::kElect, 0);
  const bool elected = (exchange.arrived & ((1u << executor.lane) - 1)) == 0;
  leave(exchange);
  return elected;
}

}  // namespace simt

namespace cuda::ptx {

struct sem_relaxed_t {};
struct sem_release_t {};
struct sem_acquire_t {};
struct scope_cta_t {};
struct scope_cluster_t {};
struct space_shared_t {};
struct space_global_t {};
inline constexpr sem_relaxed_t sem_relaxed{};
inline constexpr sem_release_t sem_release{};
inline constexpr sem_acquire_t sem_acquire{};
inline constexpr scope_cta_t scope_cta{};
inline constexpr scope_cluster_t scope_cluster{};
inline constexpr space_shared_t space_shared{};
inline constexpr space_global_t space_global{};

inline void mbarrier_init(std::uint64_t* address, std::uint32_t arrivals) {
  simt::initialize_memory_barrier(address, arrivals);
}

// The orders and scopes make no difference here, because one thread runs at a time. The returned state is not modelled:
// these functions return nothing, so a kernel that uses the state does not compile.
template <typename Sem, typename Scope>
void mbarrier_arrive(Sem, Scope, space_shared_t, std::uint64_t* address) {
  simt::arrive(address, 0);
}

template <typename Sem, typename Scope>
void mbarrier_arrive_expect_tx(Sem, Scope, space_shared_t, std::uint64_t* address, std::uint32_t bytes) {
  simt::arrive(address, bytes);
}

template <typename Sem, typename Scope>
bool mbarrier_try_wait_parity(Sem, Scope, std::uint64_t* address, std::uint32_t parity) {
  return simt::try_wait(address, parity);
}

inline void cp_async_bulk(space_shared_t, space_global_t, void* to, const void* from, std::uint32_t bytes,
                          std::uint64_t* mbarrier) {
  simt::bulk_copy(to, from, bytes, mbarrier);
}

}  // namespace cuda::ptx

#pragma GCC visibility pop
