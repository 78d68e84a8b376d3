/// Runs the blocks and threads of a launch, and chooses which thread runs next. The operations in which threads wait
/// are in collectives.cpp.
#include "simt/scheduler.h"

#include <driver_types.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <numeric>

#include "simt/fault.h"
#include "simt/waiting.h"

namespace simt {
namespace {

constexpr unsigned kAtomicsInARow = 4096;
/// A launch fails after this many atomics (half a second) if no thread starts, ends or passes a barrier or collective
/// in that time. Its threads then wait in loops for memory that never changes.
constexpr std::uint64_t kSpinningAtomics = std::uint64_t{1} << 26;

/// After this many atomics without progress, another block of the cluster runs.
constexpr std::uint64_t kAtomicsOfATurn = std::uint64_t{1} << 20;

/// Thrown if there is not enough memory for the first fiber of a block.
struct OutOfStacks {};

}  // namespace

Scheduler& scheduler() {
  static Scheduler instance;
  return instance;
}

// --- a launch -------------------------------------------------------------------------------------------------------

int Scheduler::run(const LaunchRequest& request) {
  clear_fault();
  request_ = &request;
  random_state_ = mix(executor.seed) + (mix(++launches_) << 1);
  threads_ = request.block.x * request.block.y * request.block.z;
  blockDim = request.block;
  gridDim = request.grid;
  count_ = request.cluster.x * request.cluster.y * request.cluster.z;
  while (blocks_.size() < count_) blocks_.push_back(std::make_unique<Block>());
  shared_.begin_launch(request.dynamic_shared_bytes, count_);
  overlap.begin_launch(request.dependent);
  watch.begin_launch(request.dependent);
  for (unsigned i = 0; i < count_; ++i) {
    blocks_[i]->rank = i;
    std::iota(blocks_[i]->order.begin(), blocks_[i]->order.begin() + threads_, std::uint16_t{0});
  }

  // To shuffle the clusters, the loop adds `step` to the cluster's number, modulo the number of clusters. The two have
  // no common factor, so each cluster runs once.
  const std::uint64_t clusters = std::uint64_t{request.grid.x} * request.grid.y * request.grid.z / count_;
  std::uint64_t step = 1, first = 0;
  if (shuffled()) {
    first = random() % clusters;
    do step = 1 + random() % clusters;
    while (std::gcd(step, clusters) != 1);
  }
  int status = cudaSuccess;
  current_ = &launcher_;
  for (std::uint64_t i = 0, cluster = first; i < clusters && status == cudaSuccess; ++i) {
    begin_cluster(cluster);
    try {
      go(idle_fiber());
      status = end_cluster();
    } catch (const OutOfStacks&) {
      status = last_fault().code;
    }
    overlap.end_block();
    watch.end_block(request.kernel);
    cluster += step;
    if (cluster >= clusters) cluster -= clusters;
  }
  shared_.end_launch();
  watch.end_launch();
  current_ = nullptr;
  request_ = nullptr;
  return status;
}

void Scheduler::begin_cluster(std::uint64_t cluster) {
  const dim3 &grid = request_->grid, &size = request_->cluster;
  const unsigned wide = grid.x / size.x, high = grid.y / size.y;  // clusters in a row of the grid, and such rows
  const uint3 first{static_cast<unsigned>(cluster % wide) * size.x,
                    static_cast<unsigned>(cluster / wide % high) * size.y,
                    static_cast<unsigned>(cluster / wide / high) * size.z};
  shared_.begin_cluster(undefined_word());
  overlap.begin_block();
  watch.begin_block();
  waiting_for_predecessor_.clear();
  bulk_copies_.clear();
  atomics_since_progress_ = 0;
  for (unsigned i = 0; i < count_; ++i) {
    Block& block = *blocks_[i];
    block.index = {first.x + i % size.x, first.y + i / size.x % size.y, first.z + i / size.x / size.y};
    begin_block(block);
  }
  enter(*blocks_[count_ == 1 || !shuffled() ? 0 : random() % count_]);
  reset_atomics();
}

void Scheduler::begin_block(Block& block) {
  block.unstarted = threads_;
  block.ended = 0;
  block.triggered = false;
  block.barrier.arrived = block.barrier.agreed = block.cluster_barrier.arrived = 0;
  for (unsigned thread = 0; thread < threads_; thread += kWarpLanes) {
    const unsigned lanes = std::min(threads_ - thread, kWarpLanes);
    block.warps[thread / kWarpLanes].ended = lanes == kWarpLanes ? 0 : ~0u << lanes;
  }
  block.policy = Policy::kNatural;
  if (!shuffled()) return;
  block.policy = random() % 2 == 0 ? Policy::kFair : Policy::kWarpByWarp;
  shuffle_threads(block);
}

/// Shuffles the order in which threads start. With kFair, all threads are shuffled. With kWarpByWarp, the warps are
/// shuffled, and the lanes within each warp.
void Scheduler::shuffle_threads(Block& block) {
  const auto begin = block.order.begin();
  std::iota(begin, begin + threads_, std::uint16_t{0});
  const auto shuffle = [this](auto first, std::size_t count) {
    for (std::size_t i = count; i > 1; --i) std::swap(first[i - 1], first[random() % i]);
  };
  if (block.policy == Policy::kFair) return shuffle(begin, threads_);
  for (unsigned first = 0; first < threads_; first += kWarpLanes) {
    shuffle(begin + first, std::min(threads_ - first, kWarpLanes));
  }
  const unsigned warps = threads_ / kWarpLanes;  // a last warp with fewer than 32 threads stays at its place
  for (unsigned i = warps; i > 1; --i) {
    const auto a = begin + (i - 1) * kWarpLanes, b = begin + random() % i * kWarpLanes;
    if (a != b) std::swap_ranges(a, a + kWarpLanes, b);
  }
}

/// Called in the launcher's fiber when every thread of the cluster has ended, or the launch has failed.
int Scheduler::end_cluster() {
  if (last_fault().code != cudaSuccess) {
    discard_fibers();
    return last_fault().code;
  }
  const auto damaged = shared_.damaged_guard();
  if (!damaged) return cudaSuccess;
  set_fault(cudaErrorIllegalAddress,
            kernel_name(request_->kernel) + ", block " + to_string(blocks_[damaged->rank]->index) + ": wrote to byte " +
                std::to_string(damaged->offset) + " of dynamic shared memory, but the launch has only bytes [0, " +
                std::to_string(request_->dynamic_shared_bytes) + ")");
  return cudaErrorIllegalAddress;
}

/// After a failure, any fiber may be in the middle of a kernel. This function drops the work of all fibers.
void Scheduler::discard_fibers() {
  for (const auto& block : blocks_) {
    block->runnable.clear();
    for (Warp& warp : block->warps) warp.open_count = 0;
  }
  idle_.clear();
  for (const auto& fiber : fibers_) {
    prepare(*fiber, &Scheduler::fiber_main);
    idle_.push_back(fiber.get());
  }
  free_exchanges_.clear();
  for (const auto& exchange : exchanges_) free_exchanges_.push_back(exchange.get());
}

// --- fibers ---------------------------------------------------------------------------------------------------------

Fiber& Scheduler::idle_fiber() {
  if (idle_.empty()) {
    auto fiber = std::make_unique<Fiber>();
    try {
      prepare(*fiber, &Scheduler::fiber_main);
    } catch (const std::bad_alloc&) {
      end_launch_with(cudaErrorMemoryAllocation, "there is not enough memory for the stack of another thread");
    }
    fibers_.push_back(std::move(fiber));
    return *fibers_.back();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return *fiber;
}

void Scheduler::fiber_main() {
  Scheduler& self = scheduler();
  for (;;) {
    self.run_threads();
    self.idle_.push_back(self.current_);
    self.switch_away();
  }
}

/// Runs one thread after another. Returns when all threads have been started, or when a thread that waited
/// should continue.
void Scheduler::run_threads() {
  while (start_next()) {
    request_->invoke(request_->arguments);
    end_thread();
    if (!block_->runnable.empty() && (!fair() || block_->unstarted == 0 || random() % 2 == 0)) return;
  }
}

bool Scheduler::start_next() {
  if (block_->unstarted == 0) return false;
  const unsigned thread = block_->order[threads_ - block_->unstarted--];
  atomics_since_progress_ = 0;
  const dim3& block = request_->block;
  Fiber& fiber = *current_;
  fiber.started = true;
  fiber.thread = thread;
  fiber.block = block_->rank;
  unsigned x = thread, y = 0, z = 0;
  if (block.x != threads_) {
    x = thread % block.x;
    y = thread / block.x % block.y;
    z = thread / block.x / block.y;
  }
  // Sets both variables from registers. Copying one to the other would read the new values as one wider word, and such
  // a read stalls the processor.
  fiber.index.x = threadIdx.x = x;
  fiber.index.y = threadIdx.y = y;
  fiber.index.z = threadIdx.z = z;
  executor.lane = thread % kWarpLanes;
  executor.warp = thread / kWarpLanes;
  return true;
}

void Scheduler::end_thread() {
  current_->started = false;
  ++block_->ended;
  atomics_since_progress_ = 0;
  Warp& warp = block_->warps[executor.warp];
  warp.ended |= 1u << executor.lane;
  // Threads that waited only for this thread can continue.
  const unsigned arrived = block_->barrier.arrived;
  if (arrived != 0 && arrived + block_->ended == threads_) release_barrier();
  if (count_ > 1 || block_->cluster_barrier.arrived != 0) release_cluster_barrier();
  if (count_ > 1 && block_->ended == threads_) note_trigger();
  for (unsigned i = warp.open_count; i-- > 0;) {
    if (((warp.open[i]->arrived | warp.ended) & warp.open[i]->mask) == warp.open[i]->mask) complete(warp, i);
  }
}

void Scheduler::set_running(const Fiber& fiber) {
  threadIdx = fiber.index;
  executor.lane = fiber.thread % kWarpLanes;
  executor.warp = fiber.thread / kWarpLanes;
}

void Scheduler::go(Fiber& next) {
  Fiber& self = *current_;
  current_ = &next;
  if (next.started) set_running(next);
  switch_fiber(self, next);
}

/// Switches to a thread that can continue, or to a thread that has not started. If all threads of the cluster have
/// ended, it switches to the launcher.
void Scheduler::switch_away(bool prefer_new) {
  if (fair()) prefer_new = random() % 2 == 0;
  if (shuffled()) reset_atomics();
  if (!block_->can_continue() && !enter_other_block() && !waiting_for_predecessor_.empty()) {
    // The predecessor ends as late as possible: when every thread has ended or waits.
    end_predecessor();
    if (!block_->can_continue()) enter_other_block();
  }
  Fiber* next = nullptr;
  RunQueue& runnable = block_->runnable;
  if (!runnable.empty() && !(prefer_new && block_->unstarted != 0)) {
    next = runnable.pop(fair() ? static_cast<unsigned>(random() >> 33) : 0);
  } else if (block_->unstarted != 0) {
    next = &idle_fiber();
  } else if (ended() == all_threads()) {
    next = &launcher_;
  } else {
    end_launch_with(cudaErrorLaunchFailure,
                    "no thread can go on: " + describe_waiting(fibers_, ended(), all_threads()));
  }
  if (next != current_) go(*next);
}

void Scheduler::reset_atomics() {
  atomics_in_a_row_ = shuffled() ? 1 + static_cast<unsigned>(random() >> 60) : kAtomicsInARow;
  executor.atomics_until_yield = atomics_in_a_row_;
}

void Scheduler::wait(Collective operation, std::uint32_t mask) {
  current_->waiting = true;
  current_->waits_in = operation;
  current_->waits_mask = mask;
  switch_away();
}

void Scheduler::wait_for_predecessor() {
  watch.wait();
  if (!overlap.pending()) return;
  waiting_for_predecessor_.push_back(current_);
  wait(Collective::kGridDependency, 0);
}

void Scheduler::trigger() {
  block_->triggered = true;
  note_trigger();
}

/// The next kernel may begin when every block has triggered or ended. So for a cluster the trigger of its last
/// block counts.
void Scheduler::note_trigger() {
  bool any = false;
  for (unsigned i = 0; i < count_; ++i) {
    if (!blocks_[i]->triggered && blocks_[i]->ended != threads_) return;
    any |= blocks_[i]->triggered;
  }
  if (any) watch.trigger();
}

void Scheduler::end_predecessor() {
  overlap.end_predecessor();
  for (Fiber* fiber : waiting_for_predecessor_) wake(fiber, false);
  waiting_for_predecessor_.clear();
}

void Scheduler::yield(unsigned atomics) {
  if (!in_kernel()) return;
  atomics_since_progress_ += atomics;
  // A thread that waits in a loop may wait for a thread that waits for the predecessor.
  if (atomics_since_progress_ > kSpinningAtomics && !waiting_for_predecessor_.empty()) end_predecessor();
  if (atomics_since_progress_ > kSpinningAtomics) {
    fail(cudaErrorLaunchTimeout,
         "waits in a loop until memory changes, but no other thread changes it. Blocks run one after another on the "
         "host executor, so a thread cannot wait for another block (" +
             describe_waiting(fibers_, ended(), all_threads()) + ")");
  }
  reset_atomics();
  // A thread may wait for another block of its cluster.
  const bool has_turn = block_->can_continue() && atomics_since_progress_ < kAtomicsOfATurn;
  RunQueue& own = block_->runnable;
  if (!has_turn && !enter_other_block() && !block_->can_continue()) return;
  // Without a seed, threads that have not started run first, because this thread may wait for one of them.
  own.push(current_);
  switch_away(true);
}

// --- failures -------------------------------------------------------------------------------------------------------

void Scheduler::fail(int code, std::string&& what) {
  what.insert(0, in_kernel() ? "thread " + to_string(current_->index) + ": "
                             : "a device function was called outside a kernel: ");
  end_launch_with(code, std::move(what));
}

/// Records the failure and switches to the launcher. The failing fiber never continues, and destructors of the
/// variables on its stack do not run. So the memory of `text` is freed here.
void Scheduler::end_launch_with(int code, std::string&& text) {
  if (request_ == nullptr) {  // host code called a device function, so there is no launch that could fail
    std::fprintf(stderr, "simt: %s\n", text.c_str());
    std::abort();
  }
  set_fault(code, kernel_name(request_->kernel) + ", block " + to_string(blockIdx) + ", " + text);
  std::string().swap(text);
  if (current_ == &launcher_) throw OutOfStacks();
  Fiber& self = *current_;
  current_ = &launcher_;
  abandon_fiber(self, launcher_);
}

void Scheduler::configure(std::uint64_t seed) {
  executor.seed = seed;
  launches_ = 0;
}

}  // namespace simt
