/// The parts of the scheduler for clusters: which block of a cluster runs, the barrier of a cluster, the shared memory
/// of its other blocks, and bulk copies.
#include <driver_types.h>

#include <cstring>
#include <utility>

#include "simt/fault.h"
#include "simt/ptx.h"
#include "simt/scheduler.h"

namespace simt {

// --- blocks ---------------------------------------------------------------------------------------------------------

void Scheduler::enter(Block& block) {
  block_ = &block;
  blockIdx = block.index;
  shared_.enter(block.rank);
}

bool Scheduler::enter_other_block() {
  if (count_ == 1) return false;
  const unsigned first = shuffled() ? static_cast<unsigned>(random() % count_) : block_->rank;
  for (unsigned i = 1; i <= count_; ++i) {
    Block& other = *blocks_[(first + i) % count_];
    if (&other == block_ || !other.can_continue()) continue;
    enter(other);
    return true;
  }
  return false;
}

unsigned Scheduler::ended() const {
  unsigned sum = 0;
  for (unsigned i = 0; i < count_; ++i) sum += blocks_[i]->ended;
  return sum;
}

// --- barrier --------------------------------------------------------------------------------------------------------

void Scheduler::cluster_barrier() {
  Barrier& b = block_->cluster_barrier;
  b.waiting[b.arrived++] = current_;
  current_->waiting = true;
  current_->waits_in = Collective::kClusterBarrier;
  current_->waits_mask = 0;
  release_cluster_barrier();
  switch_away();
}

/// Wakes the threads that wait in the cluster's barrier, if no other thread can arrive there.
void Scheduler::release_cluster_barrier() {
  unsigned arrived = 0;
  for (unsigned i = 0; i < count_; ++i) arrived += blocks_[i]->cluster_barrier.arrived;
  if (arrived == 0 || arrived + ended() != all_threads()) return;
  for (unsigned i = 0; i < count_; ++i) wake_all(*blocks_[i], blocks_[i]->cluster_barrier);
}

// --- shared memory --------------------------------------------------------------------------------------------------

void* Scheduler::map_shared(const void* address, unsigned rank) {
  if (rank >= count_) {
    fail(cudaErrorLaunchFailure, "maps shared memory of block " + std::to_string(rank) + " of its cluster, which has " +
                                     std::to_string(count_) + (count_ == 1 ? " block" : " blocks"));
  }
  if (blocks_[rank]->ended == threads_) {
    fail(cudaErrorLaunchFailure,
         "maps shared memory of block " + std::to_string(rank) + " of its cluster, but this block has ended");
  }
  void* const mapped = shared_.of_block(address, rank);
  if (mapped == nullptr) {
    fail(cudaErrorLaunchFailure, "maps an address that is not in the shared memory of its own block");
  }
  return mapped;
}

// --- bulk copies ----------------------------------------------------------------------------------------------------

void Scheduler::bulk_copy(void* to, const void* from, std::uint32_t bytes, std::uint64_t* mbarrier) {
  const auto aligned = [](std::uintptr_t value) { return value % 16 == 0; };
  if (!aligned(reinterpret_cast<std::uintptr_t>(to)) || !aligned(reinterpret_cast<std::uintptr_t>(from)) ||
      !aligned(bytes)) {
    fail(cudaErrorMisalignedAddress, "begins a bulk copy of " + std::to_string(bytes) +
                                         " bytes whose size or one of whose addresses is not a multiple of 16 bytes");
  }
  const auto* const first = static_cast<const char*>(from);
  bulk_copies_.push_back(
      {.rank = block_->rank, .to = static_cast<char*>(to), .bytes = {first, first + bytes}, .mbarrier = mbarrier});
  const std::uint32_t nothing = undefined_word();
  for (std::uint32_t i = 0; i < bytes; i += sizeof nothing) {
    std::memcpy(bulk_copies_.back().to + i, &nothing, sizeof nothing);
  }
}

void Scheduler::end_bulk_copies(std::uint64_t* mbarrier) {
  std::erase_if(bulk_copies_, [&](const BulkCopy& copy) {
    if (copy.mbarrier != mbarrier || copy.rank != block_->rank) return false;
    std::memcpy(copy.to, copy.bytes.data(), copy.bytes.size());
    complete_bytes(mbarrier, static_cast<std::uint32_t>(copy.bytes.size()));
    return true;
  });
}

}  // namespace simt
