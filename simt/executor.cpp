/// The functions that kernels call. They pass each call to the module's scheduler.
#include "simt/executor.h"

#include <mutex>
#include <utility>

#include "simt/fault.h"
#include "simt/scheduler.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace simt {
namespace {

constexpr unsigned kAtomicsOfASleep = 256;  ///< __nanosleep counts as this many atomics

}  // namespace

Executor executor;

Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value) {
  return scheduler().join(mask, operation, value);
}
void leave(Exchange& exchange) { scheduler().leave(exchange); }
int barrier(Collective form, bool predicate) { return scheduler().barrier(form, predicate); }
void wait_for_predecessor() { scheduler().wait_for_predecessor(); }
void trigger() { scheduler().trigger(); }
void cluster_barrier() { scheduler().cluster_barrier(); }
unsigned cluster_rank() { return scheduler().cluster_rank(); }
unsigned cluster_blocks() { return scheduler().cluster_blocks(); }
void* map_shared(const void* address, unsigned rank) { return scheduler().map_shared(address, rank); }
void bulk_copy(void* to, const void* from, std::uint32_t bytes, std::uint64_t* mbarrier) {
  scheduler().bulk_copy(to, from, bytes, mbarrier);
}
void end_bulk_copies(std::uint64_t* mbarrier) { scheduler().end_bulk_copies(mbarrier); }
void yield() { scheduler().yield(kAtomicsOfASleep); }
void after_many_atomics() { scheduler().after_many_atomics(); }
void fail_kernel(int code, std::string&& what) { scheduler().fail(code, std::move(what)); }
void* dynamic_shared_memory() { return scheduler().dynamic_shared(); }
bool in_kernel() { return scheduler().in_kernel(); }

std::uint32_t undefined_word() {
  // Two patterns are NaNs, which arithmetic propagates. The other two are one positive and one negative number, so
  // large that a maximum or a minimum keeps them. As an index, each pattern is far outside any array. The seed decides
  // which pattern is used.
  static constexpr std::uint32_t kPatterns[] = {0x7FF5A5A5u, 0x7E3C3C3Cu, 0xFE69A5C3u, 0xFFD2B4E1u};
  return kPatterns[executor.seed % 4] ^ static_cast<std::uint32_t>(mix(executor.seed) & 0xFFFu);
}

int run(const LaunchRequest& request) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  return s.run(request);
}

void configure(std::uint64_t seed) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.configure(seed);
}

void add_predecessor(void* address, std::size_t bytes, const void* earlier) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.overlap.add(static_cast<unsigned char*>(address), bytes, static_cast<const unsigned char*>(earlier));
}

void no_predecessor() {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.overlap.clear();
}

void watch(void* address, std::size_t bytes) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.watch.add(static_cast<unsigned char*>(address), bytes);
}

void no_watch() {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.watch.clear();
}

void watch_other_work() {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.watch.end_kernels();
}

}  // namespace simt
